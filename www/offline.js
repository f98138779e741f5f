/**
 * The service worker: after the first visit the page comes from what is kept, and works without a network. `FILES` and
 * `VERSION` are put before it when the page is built.
 */
/* global FILES, VERSION */
const KEPT = `semivq ${VERSION}`;

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(KEPT);
    // Not what the browser has kept of an older version under the same names.
    await cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" })));
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("semivq ") && name !== KEPT) await caches.delete(name);
    await self.clients.claim();
  })());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  event.respondWith((async () => {
    const cache = await caches.open(KEPT);
    // Files are named after what they hold; a page of another version is newer, as long as there is a network.
    const page = request.mode === "navigate";
    const kept = await cache.match(request, { ignoreSearch: true, ignoreVary: true });
    if (kept && !page) return kept;
    try {
      return await fetch(request);
    } catch (error) {
      if (kept) return kept;
      throw error;
    }
  })());
});
