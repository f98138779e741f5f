/** The same in TensorFlow.js on its webgpu backend. */
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-webgpu";
import "@tensorflow/tfjs-core/dist/register_all_gradients";
import { ADAMW, BETA, CODEBOOK, COMMITMENT, CONVOLUTIONS, type Contender, LR, SIDE, type Setup } from "./model.js";

const stopGradient = (x: tf.Tensor): tf.Tensor =>
  tf.customGrad((t) => ({ value: tf.clone(t as tf.Tensor), gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy) }))(x);

/** Rows of the codebook; its own gather wants a gradient of the indices too. */
const lookUp = (codebook: tf.Tensor2D, q: tf.Tensor1D): tf.Tensor =>
  tf.customGrad((c, save) => {
    (save as tf.GradSaveFunc)([q]);
    return {
      value: tf.gather(c as tf.Tensor, q),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.unsortedSegmentSum(dy, saved[0] as tf.Tensor1D, codebook.shape[0]),
    };
  })(codebook);

const gelu = (x: tf.Tensor) => tf.mul(tf.mul(x, 0.5), tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2)))) as tf.Tensor4D;

export async function tfjs(setup: Setup): Promise<Contender> {
  tf.enableProdMode();
  await tf.setBackend("webgpu");
  await tf.ready();
  const { batch, features, parameters } = setup;
  const variables: Record<string, tf.Variable> = {};
  for (const [name, { shape, values }] of Object.entries(parameters)) {
    const value = tf.tensor(values, shape);
    // Its convolutions are [height, width, in, out].
    variables[name] = tf.variable(shape.length === 4 ? tf.transpose(value, [2, 3, 1, 0]) : value);
  }
  const of = (name: string) => variables[name] as tf.Variable;
  const conv = (x: tf.Tensor, name: string) =>
    tf.add(tf.conv2d(x as tf.Tensor4D, of(`${name}.weight`) as never, 1, "same"), of(`${name}.bias`)) as tf.Tensor4D;
  const up = (x: tf.Tensor4D) => tf.image.resizeNearestNeighbor(x, [2 * (x.shape[1] ?? 0), 2 * (x.shape[2] ?? 0)]);
  const images = tf.tensor4d(setup.images, [batch, SIDE, SIDE, 1]);
  const [first = "", second = "", third = "", fourth = ""] = CONVOLUTIONS;

  const lossOf = (): tf.Scalar => {
    let x = gelu(tf.maxPool(conv(images, first), 2, 2, "valid"));
    x = tf.maxPool(conv(x, second), 2, 2, "valid");
    const z = tf.reshape(x, [-1, features]);
    const codebook = of(CODEBOOK) as unknown as tf.Tensor2D;
    // The square of the vector is the same for all codes.
    const distance = tf.sub(tf.sum(tf.square(codebook), 1), tf.mul(2, tf.matMul(z, codebook as never, false, true)));
    const zq = lookUp(codebook, tf.argMin(distance, 1) as tf.Tensor1D);
    const commitment = tf.add(
      tf.mul(1 - BETA, tf.mean(tf.squaredDifference(z, stopGradient(zq)))),
      tf.mul(BETA, tf.mean(tf.squaredDifference(stopGradient(z), zq))),
    );
    const through = tf.reshape(tf.add(z, stopGradient(tf.sub(zq, z))), x.shape);
    const shown = conv(up(gelu(conv(up(through as tf.Tensor4D), third))), fourth);
    return tf.add(tf.mean(tf.abs(tf.sub(shown, images))), tf.mul(COMMITMENT, commitment)) as tf.Scalar;
  };

  const optimizer = tf.train.adam(LR, ADAMW.beta1, ADAMW.beta2, ADAMW.eps);
  let last: tf.Scalar | undefined;
  return {
    name: `TensorFlow.js ${tf.version_core}, webgpu backend`,
    step: () => {
      last?.dispose();
      last = tf.tidy(() => {
        const { value, grads } = tf.variableGrads(lossOf);
        // Decoupled decay, which its Adam does not have.
        for (const variable of Object.values(variables)) variable.assign(tf.mul(variable, 1 - LR * ADAMW.decay));
        optimizer.applyGradients(grads as never);
        return value;
      });
    },
    loss: async () => (await last?.data())?.[0] ?? NaN,
    free: () => {
      last?.dispose();
      optimizer.dispose();
      images.dispose();
      for (const variable of Object.values(variables)) variable.dispose();
    },
  };
}
