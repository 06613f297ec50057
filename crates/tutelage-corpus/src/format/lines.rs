//! HTML that a library has cleaned becomes text: a line for each paragraph, heading, item of a list and row of a table.

/// The text of serialised HTML, in which every tag is closed and every text escaped.
pub(super) fn text_of(html: &str) -> String {
    let mut writer = Writer::default();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        writer.text(&rest[..start]);
        let tag = &rest[start + 1..];
        let Some(end) = end_of_tag(tag) else { break };
        writer.tag(&tag[..end]);
        rest = &tag[end + 1..];
    }
    if !rest.starts_with('<') {
        writer.text(rest);
    }
    writer.out.truncate(writer.out.trim_end().len());
    writer.out
}

/// Where a tag ends: a `>` within quotes does not end it.
fn end_of_tag(tag: &str) -> Option<usize> {
    let mut quoted = false;
    tag.bytes().position(|byte| {
        quoted ^= byte == b'"';
        byte == b'>' && !quoted
    })
}

#[derive(Debug, Default)]
struct Writer {
    out: String,
    /// Within how many `pre` it is: there white space counts.
    pre: usize,
    /// A space that is written when something follows it.
    space: bool,
}

impl Writer {
    fn text(&mut self, escaped: &str) {
        if escaped.is_empty() {
            return;
        }
        let text = unescaped(escaped);
        if self.pre > 0 {
            self.out.push_str(&text);
            return;
        }
        for c in text.chars() {
            if c.is_ascii_whitespace() {
                self.space = true;
                continue;
            }
            if std::mem::take(&mut self.space) && !self.at_line_start() {
                self.out.push(' ');
            }
            self.out.push(c);
        }
    }

    fn at_line_start(&self) -> bool {
        self.out.is_empty() || self.out.ends_with(['\n', '\t']) || self.out.ends_with("\n- ") || self.out == "- "
    }

    fn line(&mut self) {
        self.space = false;
        let end = self.out.trim_end_matches([' ', '\t']).len();
        self.out.truncate(end);
        // An item without a text.
        if self.out.ends_with("\n-") || self.out == "-" {
            self.out.pop();
        }
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    fn tag(&mut self, tag: &str) {
        let is_end = tag.starts_with('/');
        let name = tag.trim_start_matches('/').split([' ', '/', '\n', '\t']).next().unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "pre" => {
                self.line();
                self.pre = if is_end { self.pre.saturating_sub(1) } else { self.pre + 1 };
            }
            "br" if self.pre > 0 => self.out.push('\n'),
            "li" => {
                self.line();
                if !is_end {
                    self.out.push_str("- ");
                }
            }
            "td" | "th" => {
                self.space = false;
                if !is_end && !self.at_line_start() {
                    self.out.push('\t');
                }
            }
            "p" if self.out.ends_with("\n- ") || self.out == "- " => {}
            "p" | "div" | "br" | "hr" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "dl" | "dt" | "dd"
            | "tr" | "table" | "tbody" | "thead" | "tfoot" | "caption" | "blockquote" | "section" | "article"
            | "main" | "header" | "footer" | "aside" | "nav" | "figure" | "figcaption" | "body" | "address"
            | "details" | "summary" => {
                self.line();
            }
            _ => {}
        }
    }
}

fn unescaped(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let names = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&nbsp;", "\u{a0}"), ("&amp;", "&")];
    names.iter().fold(text.to_owned(), |text, (name, c)| text.replace(name, c)).into()
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn blocks_become_lines() {
        for (html, text) in [
            ("<div><h1>Title</h1><p>One\n two <b>three</b>.</p>\n <p> Four.</p></div>", "Title\nOne two three.\nFour."),
            ("<ul><li>a</li><li><p>b</p></li><li></li></ul>tail", "- a\n- b\ntail"),
            ("<table><tr><th>x</th><td> y</td></tr><tr><td>1</td><td>2</td></tr></table>", "x\ty\n1\t2"),
            ("<p>if a &lt; b &amp;&amp; c</p><pre>  x\n    y\n</pre><p>z</p>", "if a < b && c\n  x\n    y\nz"),
            ("a<br>b<br/>c &amp;lt;", "a\nb\nc &lt;"),
            ("<a title=\"1 > 0\">link</a> text", "link text"),
            ("", ""),
            ("<p", ""),
            ("no tags", "no tags"),
        ] {
            assert_eq!(text_of(html), text, "{html}");
        }
    }
}
