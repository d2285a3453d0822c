export { type Config, loadConfig, parseConfig } from './config.js';
