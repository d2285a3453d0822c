export { CapturedOutput } from './captured-run.js';
export type { OperationProgress, OutputPiece, ServiceCallOptions } from './handlers.js';
export { createLocalService } from './journalled-service.js';
export { openApiDocument } from './openapi.js';
export type { Operation } from './operation.js';
export {
  isOperation,
  isProcessOperation,
  OPERATIONS,
  type OperationInput,
  type OperationName,
  type OperationOutput,
  PROCESS_OPERATIONS,
  type ProcessInput,
  type ProcessOperationName,
} from './operations.js';
export { parseInput } from './parse-input.js';
export {
  encodeProcessFrame,
  jsonOfFrame,
  MAX_DATA_BYTES,
  PROCESS_FRAMES,
  type ProcessFrame,
  ProcessFrameDecoder,
} from './process-wire.js';
export { exitOutput, startedOutput } from './schemas.js';
export type { Service } from './service.js';
export {
  DOWNLOAD_OPERATIONS,
  type Download,
  type DownloadHead,
  type DownloadInput,
  type DownloadName,
  isDownload,
  isUpload,
  UPLOAD_OPERATIONS,
  type UploadInput,
  type UploadName,
  type UploadOutput,
} from './stream-operations.js';
export {
  ERROR_TRAILER,
  errorTrailer,
  HEAD_HEADER,
  headerJson,
  INPUT_HEADER,
  MAX_STREAM_HEADER_BYTES,
  parseHeaderJson,
} from './stream-wire.js';
export { errorFromJson, errorOfAnswer, errorToJson } from './wire-error.js';
