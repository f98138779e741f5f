/** The same in jax-js on its webgpu device: one jitted function a step. */
import { type Array as JaxArray, defaultDevice, init, jit, lax, nn, numpy as np, tree, valueAndGrad } from "@jax-js/jax";
import { ADAMW, BETA, CODEBOOK, COMMITMENT, CONVOLUTIONS, type Contender, LR, SIDE, type Setup } from "./model.js";

type Parameters = Record<string, JaxArray>;
const [first = "", second = "", third = "", fourth = ""] = CONVOLUTIONS;

export async function jax(setup: Setup, version: string): Promise<Contender> {
  await init("webgpu");
  defaultDevice("webgpu");
  const { batch, codes, features } = setup;

  const take = (p: Parameters, name: string) => (p[name] as JaxArray).ref;
  const conv = (x: JaxArray, p: Parameters, name: string) =>
    lax.conv(x, take(p, `${name}.weight`), [1, 1], "SAME").add(take(p, `${name}.bias`).reshape([1, -1, 1, 1]));
  const pool = (x: JaxArray) => {
    const [b, c, h, w] = x.shape as [number, number, number, number];
    return np.max(x.reshape([b, c, h / 2, 2, w / 2, 2]), [3, 5]);
  };
  const up = (x: JaxArray) => {
    const [b, c, h, w] = x.shape as [number, number, number, number];
    return np.broadcastTo(x.reshape([b, c, h, 1, w, 1]), [b, c, h, 2, w, 2]).reshape([b, c, 2 * h, 2 * w]);
  };
  const gelu = (x: JaxArray) => nn.gelu(x, { approximate: false });

  const lossOf = (p: Parameters, images: JaxArray): JaxArray => {
    const x = pool(conv(gelu(pool(conv(images.ref, p, first))), p, second));
    const shape = [batch, SIDE / 4, SIDE / 4, features];
    const z = np.transpose(x, [0, 2, 3, 1]).reshape([-1, features]);
    const codebook = take(p, CODEBOOK);
    const still = lax.stopGradient(codebook.ref);
    const squares = np.sum(np.square(still.ref), 1);
    // The square of the vector is the same for all codes.
    const distance = squares.sub(np.matmul(lax.stopGradient(z.ref), np.transpose(still)).mul(2));
    const zq = np.matmul(nn.oneHot(np.argmin(distance, 1), codes), codebook);
    const commitment = np.mean(np.square(z.ref.sub(lax.stopGradient(zq.ref)))).mul(1 - BETA)
      .add(np.mean(np.square(lax.stopGradient(z.ref).sub(zq.ref))).mul(BETA));
    const through = z.ref.add(lax.stopGradient(zq.sub(z)));
    const map = np.transpose(through.reshape(shape), [0, 3, 1, 2]);
    const shown = conv(up(gelu(conv(up(map), p, third))), p, fourth);
    tree.dispose(p);
    return np.mean(np.absolute(shown.sub(images))).add(commitment.mul(COMMITMENT));
  };

  const { beta1, beta2, eps, decay } = ADAMW;
  const step = jit((p: Parameters, m: Parameters, v: Parameters, bias: JaxArray, images: JaxArray) => {
    const [loss, gradients] = valueAndGrad(lossOf)(tree.ref(p), images) as unknown as [JaxArray, Parameters];
    const [np_, nm, nv]: [Parameters, Parameters, Parameters] = [{}, {}, {}];
    for (const name of Object.keys(p)) {
      const g = gradients[name] as JaxArray;
      const m1 = (m[name] as JaxArray).mul(beta1).add(g.ref.mul(1 - beta1));
      const v1 = (v[name] as JaxArray).mul(beta2).add(np.square(g).mul(1 - beta2));
      // bias holds 1 - beta1^t and 1 - beta2^t.
      const [b1, b2] = [bias.ref.slice(0), bias.ref.slice(1)];
      const update = m1.ref.div(b1).div(np.sqrt(v1.ref.div(b2)).add(eps));
      np_[name] = (p[name] as JaxArray).mul(1 - LR * decay).sub(update.mul(LR));
      nm[name] = m1;
      nv[name] = v1;
    }
    bias.dispose();
    return [np_, nm, nv, loss] as [Parameters, Parameters, Parameters, JaxArray];
  });

  const arrays = (f: (values: Float32Array) => Float32Array): Parameters =>
    Object.fromEntries(Object.entries(setup.parameters).map(([name, { shape, values }]) =>
      [name, np.array(f(values) as Float32Array<ArrayBuffer>).reshape(shape)]));
  let p = arrays((values) => values.slice());
  let m = arrays((values) => new Float32Array(values.length));
  let v = arrays((values) => new Float32Array(values.length));
  const images = np.array(setup.images as Float32Array<ArrayBuffer>).reshape([batch, 1, SIDE, SIDE]);
  let last: JaxArray | undefined;
  let t = 0;
  return {
    name: `jax-js ${version}, webgpu device`,
    step: () => {
      t++;
      last?.dispose();
      const bias = np.array(new Float32Array([1 - beta1 ** t, 1 - beta2 ** t]));
      [p, m, v, last] = step(p, m, v, bias, images.ref) as [Parameters, Parameters, Parameters, JaxArray];
    },
    loss: async () => (await last?.ref.data())?.[0] ?? NaN,
    free: () => {
      for (const set of [p, m, v]) tree.dispose(set);
      images.dispose();
      last?.dispose();
    },
  };
}
