/**
 * Trains vector-quantised autoencoders on WebGPU, in a page or a worker.
 *
 * ```ts
 * const trainer = await Trainer.create({ method: "approach1", batch: 32 });
 * const metrics = await trainer.step(100);
 * ```
 */
export type { Method, OptimizerOptions, PartialOptions, QuantizerOptions, TrainOptions } from "../options.js";
export type { Abortable, EvaluateOptions, Images, RunOptions, TrainerBase, TrainerEvents } from "./base.js";
export { type CoreSource, completeOptions, describeCheckpoint, idleOptions, joinCheckpoint, listMethods, load, sizesOf } from "./core.js";
export { type FromOptions, TrainingData } from "./data.js";
export { type Gpu, GpuDevice } from "./device.js";
export { type Picture, type Skip, toImageData } from "./pictures.js";
export { type CreateOptions, Trainer } from "./trainer.js";
export type { Bytes, Codes, Cost, Description, Evaluation, Explanation, MethodInfo, Metrics, Quantizer, Usage, View } from "./types.js";
