// The master is killed and starts again: the page says so, goes on by itself, and misses nothing.
export default async function ({ page, assert, until, login, host, allow, shot }) {
  allow(/net::ERR_|Failed to fetch|Failed to load resource/);
  await host("go_live");
  const id = await host("force", "live");
  await login();
  await page.goto(`/builds/${id}`);
  await page.evaluate(() => { window.here = true; });
  const last = () => page.locator(".ln > a").last().textContent().then(Number);
  await until(async () => await last() > 5, "some lines");
  await host("kill_master");
  const band = page.locator(".band.warn", { hasText: "Connection lost" });
  await band.waitFor();
  assert.ok(await page.getByRole("button", { name: "Cancel", exact: true }).isDisabled(), "nothing can be asked for");
  assert.match(await page.locator(".ln").first().textContent(), /line \d+ of the live log/, "reading goes on");
  await shot("build-lost");
  const was = await last();
  await host("start_master");
  await until(async () => await last() > was + 5, "the log to grow again", 40000);
  await band.waitFor({ state: "detached", timeout: 40000 });
  await host("stop_live");
  await page.locator(".title .chip", { hasText: "Success" }).waitFor();
  await page.locator(".ln", { hasText: "over" }).waitFor();
  assert.equal(await page.evaluate(() => window.here), true, "without a reload");
}
