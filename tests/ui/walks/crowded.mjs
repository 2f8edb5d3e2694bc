// A build with 31 steps, 2,000 failing tests, a branch of 120 letters and groups with errors: it stays readable.
export default async function ({ page, assert, facts, audit }) {
  await page.goto(`/builds/${facts.crowd}`);
  await page.locator("section.why h2", { hasText: "2,000 tests failed" }).waitFor();
  assert.equal(await page.locator(".why ul.tests").first().locator("li").count(), 10);
  await page.locator(".why", { hasText: "1,990 more" }).waitFor();
  await page.locator("a.quote", { hasText: "lib/transport/part_9.c:9: the peer was not dropped" }).waitFor();
  const bad = page.locator(".ln.bad");
  await bad.first().waitFor();
  assert.match(await bad.first().locator("code").textContent(), /^error: lib\/transport\/part_9\.c:9: the peer was not dropped/);
  await page.keyboard.press("f");
  await page.locator(".ln.bad", { hasText: "part_18.c" }).waitFor();
  await page.keyboard.press("Shift+F");
  await page.locator(".ln.bad.here", { hasText: "part_9.c" }).waitFor();
  await page.locator(".fold[aria-expanded=false]").first().click();
  await page.locator(".ln", { hasText: "in it" }).first().waitFor();
  await audit("build-crowded");
}
