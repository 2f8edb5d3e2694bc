// The page of a build: red, green; from the mail's link to the failing line; its buttons.
export default async function ({ page, assert, facts, until, login, audit, api, url }) {
  await login();

  // ---- red: one click from a mail, and the failing line is in view
  await page.goto(`/builds/${facts.red}`);
  await page.locator("#h-why").waitFor();
  assert.match(await page.title(), new RegExp(`^Failed: fast #${facts.red}`));
  assert.match(await page.locator('link[rel="icon"]').getAttribute("href"), /c0271f/);
  const bad = page.locator(".ln.bad", { hasText: "not ok 602" });
  await bad.waitFor();
  await until(() => bad.evaluate(e => {
    const b = e.closest(".lines").getBoundingClientRect(), r = e.getBoundingClientRect();
    return r.top >= b.top && r.bottom <= b.bottom && r.top < innerHeight + 600;
  }), "the failing line in view");
  const quote = page.locator("section.why a.quote");
  assert.match(await quote.textContent(), /not ok 602/);
  assert.match(await page.locator("section.why").textContent(), /1 test failed/);
  await page.locator("section.why", { hasText: "conflict_in_renamed_directory_is_told_once" }).waitFor();
  assert.equal(await page.locator(".fold[aria-expanded=false]", { hasText: "Unit tests: core" }).count(), 1, "a group without failure is closed");
  assert.equal(await page.locator(".fold[aria-expanded=true]", { hasText: "Unit tests: merge" }).count(), 1);
  await audit("build-red");

  // the link of the line: it is shown at once, and the address says so
  await quote.click();
  await page.waitForURL(/\/log\/test#L\d+$/);
  const line = +/#L(\d+)/.exec(page.url())[1];
  await page.goto("about:blank");
  await page.goto(url(`/builds/${facts.red}/log/test#L${line}-L${line + 1}`));
  await page.locator(`#L${line}.sel`).waitFor();
  assert.equal(await page.locator(".ln.sel").count(), 2);
  assert.ok(await page.locator(`#L${line}`).evaluate(e => e.getBoundingClientRect().bottom < innerHeight), "in the window without scrolling");

  // a link into a closed group opens it
  await page.goto("about:blank");
  await page.goto(url(`/builds/${facts.red}/log/test#L100`));
  await page.locator("#L100.sel").waitFor();

  // groups that are known late close without taking the line away
  let release;
  const held = new Promise(r => { release = r; });
  await page.route("**/log/*/index", async r => { await held; await r.continue(); });
  await page.goto("about:blank");
  await page.goto(url(`/builds/${facts.red}`));
  await bad.waitFor();
  assert.equal(await page.locator(".fold").count(), 0);
  release();
  await page.locator(".fold[aria-expanded=false]", { hasText: "Unit tests: core" }).waitFor();
  await until(() => bad.evaluate(e => {
    const b = e.closest(".lines").getBoundingClientRect(), r = e.getBoundingClientRect();
    return r.top >= b.top && r.bottom <= b.bottom;
  }), "the failing line in view");
  await page.unroute("**/log/*/index");

  // ---- green, with groups, colours, what was written over
  await page.goto(`/builds/${facts.green}/log/compile`);
  await page.locator(".ln", { hasText: "linked" }).waitFor();
  assert.match(await page.title(), /^Success: fast/);
  assert.equal(await page.locator(".ln", { hasText: "100%" }).locator("code").textContent(), "100%", "what was written over is not shown");
  assert.ok(await page.locator(".ln .c-f80").evaluate(e => getComputedStyle(e).color !== getComputedStyle(e.parentNode).color), "a colour of 256");
  await page.locator(".steps a", { hasText: "test" }).click();
  await page.locator(".log h2", { hasText: "test" }).waitFor();
  await page.locator("details summary", { hasText: "Properties" }).click();
  await page.locator("details summary", { hasText: "Summary" }).click();
  await page.locator("details pre", { hasText: "## Tests" }).waitFor();
  await audit("build-green");

  // ---- standard error apart: the line that tells stands there
  await page.goto(`/builds/${facts.apart}`);
  await page.locator(".ln", { hasText: "all is well" }).waitFor();
  await page.locator("a.quote", { hasText: "apart.c:3: error: it is not" }).click();
  await page.locator("#L1.sel", { hasText: "error: it is not" }).waitFor();
  assert.match(page.url(), /\/log\/go\.stderr#L1$/);
  await page.getByRole("button", { name: "Standard error" }).click();
  await page.locator(".ln", { hasText: "all is well" }).waitFor();
  await page.getByRole("button", { name: "Standard error 1" }).click();
  await page.locator(".ln", { hasText: "error: it is not" }).waitFor();

  // ---- buttons
  await page.goto(`/builds/${facts.red}`);
  await page.getByRole("button", { name: "Retry what failed" }).click();
  await page.locator(".toast", { hasText: "asked for" }).waitFor();
  await page.getByRole("button", { name: "Enter its directory" }).click();
  await page.locator(".note.kept, .refused").first().waitFor();
  await page.getByRole("button", { name: "Keep", exact: true }).click();
  await page.getByRole("button", { name: "Keep the build" }).click();
  await page.getByRole("button", { name: "Keep no longer" }).click();
  await page.getByRole("button", { name: "Keep", exact: true }).waitFor();
  const again = await until(async () => (await api(`/builds?builder=fast&limit=5`)).items.find(b => b.id > facts.red), "the build of the retry");
  assert.equal(again.revision, (await api(`/builds/${facts.red}`)).revision);
}
