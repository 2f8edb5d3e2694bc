#include "master/http/html.h"

const char html_style[] =
    ":root{--bg:#fff;--sunk:#f6f7f8;--line:#e4e6ea;--ink:#171a1f;--ink2:#59606b;--ok:#1b7a3a;--ok-"
    "t:#e6f4ea;--warn:#8a5700;--warn-t:#fbf0d9;"
    "--fail:#c0271f;--exc:#7a35b8;--retry:#0a6b80;--retry-t:#e1f3f6;--run:#1c60c4;--run-t:#e7effc;"
    "color-scheme:light dark}"
    "@media(prefers-color-scheme:dark){:root{--bg:#101214;--sunk:#17191c;--line:#282c32;--ink:#"
    "e6e8eb;--ink2:#a1a8b3;--ok:#52c078;--ok-t:#14291c;"
    "--warn:#e0b04a;--warn-t:#2b2412;--fail:#ff7f76;--exc:#cfa6ff;--retry:#5cc6da;--retry-t:#"
    "10282d;--run:#7fb2ff;--run-t:#142337}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:14px/20px "
    "system-ui,sans-serif;"
    "font-variant-numeric:tabular-nums}header,main{max-width:1200px;margin:0 auto;padding:0 24px}"
    "header{height:48px;display:flex;align-items:center;gap:16px;border-bottom:1px solid "
    "var(--line)}header a{font-weight:600;text-decoration:none}"
    "header span{color:var(--ink2)}h1{font-size:20px;line-height:28px;margin:24px 0 "
    "4px;font-weight:600}h1 em{color:var(--fail);font-style:normal}"
    "h2{font-size:16px;line-height:24px;margin:32px 0 4px;font-weight:600}p{margin:4px 0 "
    "12px;color:var(--ink2)}p b{color:var(--ink);font-weight:500}"
    "a{color:var(--ink);text-decoration:underline;text-decoration-thickness:1px;text-underline-"
    "offset:2px}"
    ".frame{overflow-x:auto}table{border-collapse:collapse;width:100%}th{font-size:12px;line-"
    "height:16px;font-weight:400;color:var(--ink2);text-align:left}"
    "th,td{padding:8px 12px 8px 0;border-bottom:1px solid "
    "var(--line);vertical-align:top}td.n,th.n{text-align:right}"
    "td.w{color:var(--ink2);overflow-wrap:anywhere}.s{display:inline-block;white-space:nowrap;"
    "border-radius:6px;padding:0 8px;font-size:12px;"
    "color:var(--ink2);background:var(--sunk)}.s0{color:var(--ok);background:var(--ok-t)}.s1{color:"
    "var(--warn);background:var(--warn-t)}"
    ".s2{color:var(--bg);background:var(--fail)}.s4{color:var(--bg);background:var(--exc)}.s5{"
    "color:var(--retry);background:var(--retry-t)}"
    ".run{color:var(--run);background:var(--run-t)}code{font:12px/20px ui-monospace,monospace}"
    "header a.in{margin-left:auto;font-weight:400}input,button{font:inherit;padding:4px "
    "8px;max-width:100%}"
    "@media(max-width:640px){header,main{padding:0 16px}.x{display:none}}";

void html_text(pw_buf *b, const char *s)
{
    for (; s && *s; s++) {
        switch (*s) {
        case '&':
            (void)pw_buf_adds(b, "&amp;");
            break;
        case '<':
            (void)pw_buf_adds(b, "&lt;");
            break;
        case '>':
            (void)pw_buf_adds(b, "&gt;");
            break;
        case '"':
            (void)pw_buf_adds(b, "&quot;");
            break;
        case '\'':
            (void)pw_buf_adds(b, "&#39;");
            break;
        default:
            (void)pw_buf_add(b, s, 1);
        }
    }
}

void html_head(pw_buf *b, const char *title)
{
    (void)pw_buf_adds(b, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><link "
                         "rel=\"icon\" href=\"data:,\"><title>");
    html_text(b, title);
    (void)pw_buf_adds(
        b, "</title><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    (void)pw_buf_adds(b, "<link rel=\"stylesheet\" href=\"/style.css\"></head><body><header><a "
                         "href=\"/\">Pawl</a><span>" PW_VERSION
                         "</span><a class=\"in\" href=\"/login\">Log in</a></header><main>");
}

void html_foot(pw_buf *b)
{
    (void)pw_buf_adds(b, "</main></body></html>\n");
}
