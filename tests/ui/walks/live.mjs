// What runs: the log grows while one looks, lets go when one scrolls up, follows again; the end needs no reload; cancel cancels.
export default async function ({ page, assert, until, login, audit, host }) {
  await host("go_live");
  const id = await host("force", "live");
  await login();
  await page.goto(`/builds/${id}`);
  await page.evaluate(() => { window.here = true; });
  const lines = page.locator(".lines"), chip = page.locator(".title .chip");
  assert.match(await page.title(), new RegExp(`^Running: live #${id}`));
  assert.match(await page.locator('link[rel="icon"]').getAttribute("href"), /1c60c4/);
  const last = () => page.locator(".ln > a").last().textContent().then(Number);
  const was = await until(last, "a line");
  await until(async () => await last() > was + 5, "the log to grow");
  assert.equal(await page.locator(".ln", { hasText: "line 2 of" }).locator("code").textContent(), "line 2 of the live log");
  await page.getByText("Follows the end").waitFor();

  // the end is kept in view, until the reader goes up
  await until(async () => await last() > 60, "more lines than fit");
  const end = () => lines.evaluate(e => e.scrollTop + e.clientHeight >= e.scrollHeight - 4);
  await until(end, "the end in view");
  await lines.hover();
  await page.mouse.wheel(0, -400);
  await page.getByRole("button", { name: /new lines?, go to the end/ }).waitFor();
  const top = await lines.evaluate(e => e.scrollTop);
  const n = await page.locator(".news").textContent();
  await until(async () => await page.locator(".news").textContent() !== n, "more news");
  assert.equal(await lines.evaluate(e => e.scrollTop), top, "nothing moves what is looked at");
  await audit("build-running");
  await page.locator(".news").click();
  await until(end, "the end in view again");

  // over the whole log, also what is not in view
  await page.keyboard.press("Control+f");
  await page.locator("#find").fill("line 7 of");
  await page.locator("#find").press("Enter");
  await page.locator(".ln.cur mark", { hasText: "line 7 of" }).waitFor();
  assert.match(await page.locator(".tally").textContent(), /1 of 1/);

  // the end of the step moves nothing
  await page.locator(".lines").focus();
  await page.keyboard.press("Home");
  await host("stop_live");
  await page.locator(".title .chip", { hasText: "Success" }).waitFor();
  assert.match(await page.title(), /^Success/);
  await until(async () => !(await page.locator(".news").count()), "no more news");
  assert.equal(await lines.evaluate(e => e.scrollTop), 0);
  await page.keyboard.press("End");
  await page.locator(".ln", { hasText: "over" }).waitFor();

  // cancel
  await host("go_live");
  const other = await host("force", "live");
  await page.goto(`/builds/${other}`);
  await page.locator(".ln", { hasText: "line 9 of" }).waitFor();
  await audit("build-progress", { only: ["light", "dark"] });
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.locator("dialog input").fill("not needed");
  await page.getByRole("button", { name: "Cancel the build" }).click();
  await chip.filter({ hasText: "Cancelled" }).waitFor();
  await page.getByRole("button", { name: "Build again" }).waitFor();
  await audit("build-cancelled", { only: ["light"] });
}
