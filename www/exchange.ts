/** What comes in and goes out: dropped files, checkpoints, curves as files; which pictures are shown. */
import type { Problems } from "./problems.js";
import type { DataInfo, FromWorker, ToWorker } from "./protocol.js";
import { SIDES, type Side, type State, sidesOf } from "./settings.js";
import type { Curves } from "./views/curves.js";
import { at, button, element, toImageData } from "./views/pixels.js";

/** Test images to choose from, and those of them that are shown at most. */
const PREVIEW = 64;
const SHOWN = 8;

interface Host {
  send(message: ToWorker): void;
  problems: Problems;
  flash(text: string): void;
  state(): State;
  curves: Curves;
  /** The user's images have been read. */
  onData(): void;
}

function download(name: string, content: Blob) {
  const link = element("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const describe = ({ name, shape, train, test }: DataInfo) =>
  `${name}: ${train.toLocaleString()} images to train, ${test.toLocaleString()} to test, ${shape.slice(1).join(" × ")} ${shape[0] === 1 ? "grey" : "colour"}`;

export class Exchange {
  /** Whether the user's own images are loaded. */
  owns = false;
  /** The files that were read last. */
  #files: File[] = [];
  #shown = "";
  /** Whether there is no GPU: then nothing can be done with files. */
  stopped = false;

  constructor(private readonly host: Host) {
    at("csv").addEventListener("click", () => download("semivq.csv", new Blob([host.curves.csv()], { type: "text/csv" })));
    at("png").addEventListener("click", async () => {
      const blob = await host.curves.png();
      if (blob) download("semivq.png", blob);
    });
    const picked = (id: string, take: (files: File[]) => void) => {
      const picker = at<HTMLInputElement>(id);
      picker.addEventListener("change", () => {
        take([...(picker.files ?? [])]);
        picker.value = "";
      });
    };
    for (const side of SIDES) {
      at(`save-${side}`).addEventListener("click", () => host.send({ kind: "save", side }));
      picked(`load-${side}`, (files) => this.#load(side, files));
    }
    picked("files", (files) => this.#take(files));
    window.addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.classList.add("dragging");
    });
    window.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dragging");
    });
    window.addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dragging");
      this.#take([...(event.dataTransfer?.files ?? [])]);
    });
  }

  #load(side: Side, files: File[]) {
    if (this.stopped) return this.#refuse();
    if (files.length > 0) this.host.send({ kind: "load", side, files });
  }

  #take(files: File[]) {
    if (files.length === 0) return;
    if (this.stopped) return this.#refuse();
    this.host.problems.clear("file");
    this.host.problems.clear("left-out");
    const checkpoint = files.filter((file) => file.name.endsWith(".safetensors"));
    if (checkpoint.length > 0) return this.#load(sidesOf(this.host.state())[0] ?? "a", checkpoint);
    this.#files = files;
    this.#read();
  }

  #refuse() {
    this.host.problems.show("file", "Nothing can be trained here: there is no WebGPU.");
  }

  #read() {
    const state = this.host.state();
    this.host.send({
      kind: "data", files: this.#files, colour: state["colour"] === "colour",
      size: state["size"] as number, seed: state["seed"] as number,
    });
  }

  /** The files once more, since they are to be read in another way. */
  readAgain() {
    if (this.#files.length > 0) this.#read();
  }

  /** The images that are trained on. */
  describe(data: DataInfo) {
    this.#shown = describe(data);
    at("data-name").textContent = this.#shown;
  }

  /** Asks which test images are to be shown. */
  preview() {
    this.host.send({ kind: "preview", count: PREVIEW });
  }

  #choose({ shape, count, images }: Extract<FromWorker, { kind: "previewed" }>) {
    const chosen: number[] = [];
    const thumbnails = Array.from({ length: count }, (_, index) => {
      const canvas = element("canvas", { width: shape[2], height: shape[1] });
      canvas.getContext("2d")?.putImageData(toImageData(images, shape, index), 0, 0);
      const made = button("", () => {
        const where = chosen.indexOf(index);
        if (where >= 0) chosen.splice(where, 1);
        else chosen.push(index);
        if (chosen.length > SHOWN) chosen.shift();
        thumbnails.forEach((t, i) => t.setAttribute("aria-pressed", String(chosen.includes(i))));
        this.host.send({ kind: "show", indices: [...chosen] });
      });
      made.append(canvas);
      made.setAttribute("aria-pressed", "false");
      made.setAttribute("aria-label", `Test image ${index + 1}`);
      return made;
    });
    at("dialog-title").textContent = this.#shown;
    at("dialog-body").replaceChildren(
      element("p", { className: "note", textContent: `Test images. Choose up to ${SHOWN}, which are shown from then on.` }),
      element("div", { className: "choices" }, ...thumbnails),
    );
    const dialog = at<HTMLDialogElement>("dialog");
    if (!dialog.open) dialog.showModal();
  }

  hear(message: FromWorker) {
    switch (message.kind) {
      case "data":
        this.owns = true;
        this.describe(message.data);
        if (message.skipped.length > 0) {
          const more = message.skipped.length > 8 ? `; and ${message.skipped.length - 8} more` : "";
          this.host.problems.show("left-out", `${message.skipped.slice(0, 8).join("; ")}${more}.`);
        }
        this.host.onData();
        // Of the run that is asked for just now.
        this.host.flash(`read: ${describe(message.data)}`);
        break;
      case "previewed":
        this.#choose(message);
        break;
      case "saved":
        download(`semivq-${message.side}-${message.step}.safetensors`, new Blob([message.bytes as Uint8Array<ArrayBuffer>]));
        break;
    }
  }
}
