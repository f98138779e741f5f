/** The page's keys, and the dialog that tells them. */
import { at, element } from "./views/pixels.js";

export interface Key {
  /** As it stands on the keyboard. */
  name: string;
  what: string;
  do(): void;
}

/** What the browser calls them. */
const NAMES: Record<string, string> = { " ": "space", ArrowRight: "→" };

/** Listens to `keys`, and to ? which tells them; Escape calls `escape`, which says whether it did something. */
export function listenToKeys(keys: readonly Key[], escape: () => boolean) {
  const all: readonly Key[] = [...keys, { name: "?", what: "these keys", do: tell }];
  function tell() {
    at("dialog-title").textContent = "Keys";
    at("dialog-body").replaceChildren(
      ...all.map(({ name, what }) => element("p", {}, element("kbd", { textContent: name }), ` ${what}`)),
      element("p", { className: "note", textContent: "On pictures, tiles and maps: arrows move, Enter takes what is under the cursor. Escape puts a brush away and closes." }),
    );
    at<HTMLDialogElement>("dialog").showModal();
  }
  at("keys").addEventListener("click", tell);
  window.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.key === "Escape" && escape()) return;
    // A key that is held resets once; and behind a dialog nothing is pressed.
    if ((event.repeat && event.key !== "ArrowRight") || at<HTMLDialogElement>("dialog").open) return;
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
    // Space presses what has the focus.
    if (event.key === " " && /^(BUTTON|SUMMARY|A)$/.test(target.tagName)) return;
    const key = all.find(({ name }) => name === (NAMES[event.key] ?? event.key.toUpperCase()));
    if (!key) return;
    key.do();
    event.preventDefault();
  });
}
