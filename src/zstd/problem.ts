/** What is wrong with a stream. Whoever decodes it knows where it comes from and gives it a code. */
export class ZstdProblem extends Error {}
