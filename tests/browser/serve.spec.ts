/** What `cargo xtask serve` sends. */
import { expect, test } from "@playwright/test";

test("the core is sent compressed", async ({ request }) => {
  const get = (encoding: string) => request.get("/core/semivq_bg.wasm", { headers: { "accept-encoding": encoding } });
  const plain = await get("identity");
  expect(plain.headers()["content-encoding"]).toBeUndefined();
  for (const encoding of ["gzip", "br"]) {
    const response = await get(encoding);
    const headers = response.headers();
    expect(headers["content-encoding"]).toBe(encoding);
    expect(headers["content-type"]).toBe("application/wasm");
    expect(headers["vary"]).toContain("Accept-Encoding");
    expect(await response.body()).toEqual(await plain.body());
  }
});
