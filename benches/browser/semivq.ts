/** This project, through the same class that its npm package offers. */
import { GpuDevice, Trainer, TrainingData } from "../../www/package/index.js";
import { COMMITMENT, type Contender, LR, type Parameter, SIDE, type Setup } from "./model.js";

/** The parameters of a checkpoint, a safetensors file. */
function parametersOf(bytes: Uint8Array): Record<string, Parameter> {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, { shape: number[]; data_offsets: [number, number] }>;
  const data = bytes.slice(8 + length);
  return Object.fromEntries(Object.entries(head).filter(([name]) => name !== "__metadata__").map(([name, { shape, data_offsets: [from, to] }]) =>
    [name, { shape, values: new Float32Array(data.slice(from, to).buffer) }]));
}

/** The contender, and the set-up that the others take from it. */
export async function semivq(batch: number): Promise<[Contender, Setup]> {
  const device = await GpuDevice.open();
  const glyphs = await TrainingData.glyphs(0);
  const train = glyphs.part("train").slice(0, batch * SIDE * SIDE);
  // As many images as a batch takes: every batch is all of them.
  const data = await TrainingData.parts("one batch", train, glyphs.testImages(0, 8), [1, SIDE, SIDE]);
  const trainer = await Trainer.create({ method: "vq", batch, lr: LR, data, device });
  const { vq } = trainer.options;
  const setup = {
    batch,
    codes: vq.num_codes,
    features: vq.feature_size,
    images: Float32Array.from(train, (v) => v / 127.5 - 1),
    parameters: parametersOf(await trainer.save()),
  };
  const contender = {
    name: "semivq",
    step: () => trainer.submitStep(),
    loss: async () => {
      await trainer.settle();
      const { rec_loss, cmt_loss } = trainer.metrics() ?? { rec_loss: NaN };
      return rec_loss + COMMITMENT * (cmt_loss ?? NaN);
    },
    free: async () => {
      await trainer.free();
      device.destroy();
    },
  };
  return [contender, setup];
}
