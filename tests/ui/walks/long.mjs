// A log of 700,004 lines: higher than an element can be. It opens at its end, and any part of it is a key away.
export default async function ({ page, assert, until, facts, audit, url, allow }) {
  allow(/400 \(Bad Request\).*grep=/); // of a wrong expression, further down
  await page.goto(`/builds/${facts.long}`);
  const lines = page.locator(".lines"), line = n => page.locator(`#L${n}`);
  await line(700004).waitFor();
  assert.match(await page.locator(".logfoot").textContent(), /700,004 lines/);
  assert.match(await line(700001).textContent(), /the needle is here/);
  const few = async () => assert.ok(await page.locator(".lines .ln").count() <= 600);
  await few();
  // keys
  await lines.focus();
  await page.keyboard.press("Home");
  await line(1).locator("code", { hasText: "line 1 of a very long log" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  assert.match(page.url(), /\/log\/go#L3$/);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Shift+Enter");
  assert.match(page.url(), /#L3-L5$/);
  assert.equal(await page.locator(".ln.sel").count(), 3);
  // the bar maps in proportion, the wheel moves by lines
  await lines.evaluate(e => { e.scrollTop = (e.scrollHeight - e.clientHeight) / 2; });
  const first = () => page.locator(".lines").evaluate(e => {
    const y = e.getBoundingClientRect().top;
    return +([...e.querySelectorAll(".ln")].find(l => l.getBoundingClientRect().bottom > y + 1) || { id: "L0" }).id.slice(1);
  });
  const half = await until(async () => { const n = await first(); return n > 349000 && n < 351000 && n; }, "the middle");
  await line(half).locator("code", { hasText: `line ${half} of` }).waitFor();
  await lines.hover();
  await page.mouse.wheel(0, 200);
  await until(async () => await first() === half + 10, "ten lines on");
  await few();
  await page.keyboard.press("End");
  await line(700004).waitFor();
  // to a line by its address, with the number of lines that are asked for together
  await page.goto("about:blank");
  await page.goto(url(`/builds/${facts.long}/log/go#L400`));
  await page.locator("#L400.sel code", { hasText: "line 400 of" }).waitFor();
  await line(401).locator("code", { hasText: "line 401 of" }).waitFor();
  await page.evaluate(() => { location.hash = "#L640000"; });
  await page.locator("#L640000.sel code", { hasText: "line 640000 of" }).waitFor();
  // find
  await page.keyboard.press("/");
  await page.locator("#find").fill("NEEDLE is");
  await page.locator("#L700001.cur mark").waitFor();
  await page.getByText("1 of 1").waitFor();
  await page.getByRole("button", { name: "Upper and lower case differ" }).click();
  await page.locator(".tally", { hasText: "none" }).waitFor();
  await page.getByRole("button", { name: "Upper and lower case differ" }).click();
  await page.locator("#find").fill("/line \\d*99 of/");
  await page.locator(".tally", { hasText: "of 7,000" }).waitFor();
  await page.locator("#find").fill("/line [0-9]+ of/");
  await page.locator(".tally", { hasText: "first 10,000" }).waitFor();
  await page.locator("#find").press("Enter");
  await page.locator(".tally", { hasText: "1 of the first 10,000" }).waitFor();
  await page.locator("#find").fill("/a(b/");
  await page.locator(".tally .bad", { hasText: "wrong at position" }).waitFor();
  await page.locator("#find").fill("");
  // times
  await page.getByRole("button", { name: "Times" }).click();
  await page.locator(".ln time", { hasText: /^\d\d:\d\d$/ }).first().waitFor();
  await page.getByRole("button", { name: "Elapsed" }).click();
  await page.locator(".ln time", { hasText: /^\d\d:\d\d:\d\d$/ }).first().waitFor();
  await audit("build-long", { only: ["light"] });
  await page.getByRole("button", { name: "Clock" }).click();
}
