/** Pictures of the browser as bytes, there and back. */
import type { Bytes } from "./types.js";

/** What a browser decodes or draws: `Blob`, `File`, `ImageData`, `ImageBitmap`, a canvas, an `<img>`, a video's frame. */
export type Picture = ImageBitmapSource;

/** Hears of a picture that cannot be decoded, and is left out. */
export type Skip<P> = (picture: P, index: number) => void;

function context2d(width: number, height: number): OffscreenCanvasRenderingContext2D {
  if (typeof OffscreenCanvas === "undefined" || typeof createImageBitmap === "undefined") {
    throw new Error("pictures are decoded by the browser, and this is none: give their bytes to TrainingData.images");
  }
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser gives no canvas to decode images with");
  context.imageSmoothingQuality = "high";
  // Transparent images stand on white.
  context.fillStyle = "#fff";
  return context;
}

/** The greatest centred part of an image that is shaped as `width` x `height`: x, y, width, height. */
function centre(image: ImageBitmap, width: number, height: number): [number, number, number, number] {
  const wide = image.width * height > image.height * width;
  const w = wide ? (image.height * width) / height : image.width;
  const h = wide ? image.height : (image.width * height) / width;
  return [(image.width - w) / 2, (image.height - h) / 2, w, h];
}

/** Writes pixels (RGBA) as one image of `channels`, from `at` on. */
export function toPlanes(pixels: Uint8ClampedArray, channels: number, all: Bytes, at: number): void {
  const plane = pixels.length / 4;
  for (let i = 0; i < plane; i++) {
    const [r, g, b] = [pixels[4 * i] ?? 0, pixels[4 * i + 1] ?? 0, pixels[4 * i + 2] ?? 0];
    if (channels === 3) {
      all[at + i] = r;
      all[at + plane + i] = g;
      all[at + 2 * plane + i] = b;
    } else {
      // ITU-R BT.601, 0.299, 0.587 and 0.114, in the integers of src/data/png.rs.
      all[at + i] = (19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16;
    }
  }
}

/**
 * Pictures of any size as images of `shape` [C, H, W], each cropped to its centre and resized, and how many they are. One
 * that cannot be decoded is told to `skip`, and an error without it.
 */
export async function decodePictures<P extends Picture>(
  pictures: ArrayLike<P> | Iterable<P>,
  [channels, height, width]: [number, number, number],
  skip?: Skip<P>,
): Promise<{ pixels: Bytes; count: number }> {
  if (channels !== 1 && channels !== 3) throw new Error(`pictures are grey or colour, 1 or 3 channels, not ${channels}`);
  const list = Array.from(pictures);
  const stride = channels * height * width;
  const all = new Uint8Array(list.length * stride);
  const context = context2d(width, height);
  let count = 0;
  for (const [index, picture] of list.entries()) {
    let image: ImageBitmap;
    try {
      image = await createImageBitmap(picture);
    } catch (cause) {
      if (!skip) throw new Error(`${picture instanceof File ? picture.name : `picture ${index}`} cannot be decoded`, { cause });
      skip(picture, index);
      continue;
    }
    context.fillRect(0, 0, width, height);
    context.drawImage(image, ...centre(image, width, height), 0, 0, width, height);
    image.close();
    toPlanes(context.getImageData(0, 0, width, height).data, channels, all, count++ * stride);
  }
  return { pixels: all.slice(0, count * stride), count };
}

/** One image of bytes of `shape` [C, H, W], to be drawn. */
export function toImageData(bytes: Uint8Array, [c, h, w]: [number, number, number], index = 0): ImageData {
  const image = new ImageData(w, h);
  const at = index * c * h * w;
  for (let i = 0; i < h * w; i++) {
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = bytes[at + (c === 3 ? k * h * w : 0) + i] ?? 0;
    image.data[4 * i + 3] = 255;
  }
  return image;
}
