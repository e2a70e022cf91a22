//! The results as Markdown, and the sign-ins as a plot.

use std::fmt::Write as _;
use std::path::Path;

const BEGIN: &str = "<!-- generated: compare -->\n";
const END: &str = "<!-- end -->";

/// What was measured so far; every part is printed as it comes.
#[derive(Default)]
pub struct Report {
    text: String,
    /// Names and sign-ins per second.
    pub bars: Vec<(String, f64)>,
}

impl Report {
    pub fn title(&mut self, title: &str, head: &str) {
        let columns = head.matches('|').count() - 1;
        self.line(&format!("\n### {title}\n\n{head}\n|{}", "---|".repeat(columns)));
    }

    pub fn line(&mut self, line: &str) {
        println!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Puts the results into the document.
    pub fn write(&self, root: &Path) {
        let file = root.join("docs/BENCHMARKS.md");
        let document = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = document.split_once(BEGIN).expect("the place of the results");
        let (_, after) = rest.split_once(END).expect("the end of the results");
        std::fs::write(&file, format!("{before}{BEGIN}{}\n{END}{after}", self.text)).unwrap();
        std::fs::write(root.join("docs/images/benchmarks.svg"), self.plot()).unwrap();
    }

    /// Bars that read on white and on black.
    fn plot(&self) -> String {
        let most = self.bars.iter().map(|b| b.1).fold(1.0, f64::max);
        let height = 34 * self.bars.len() + 44;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 {height}\" role=\"img\" \
             aria-label=\"Whole sign-ins per second\">\n<style>text{{font:14px system-ui,sans-serif;fill:#6b7280}}\
             rect{{fill:#6366f1}}.peer{{fill:#9ca3af}}</style>\n\
             <text x=\"0\" y=\"20\">Whole sign-ins per second, 8 at a time, one run</text>\n"
        );
        for (at, (name, per_s)) in self.bars.iter().enumerate() {
            let y = 34 * at + 36;
            let width = per_s / most * 380.0;
            let class = if name.starts_with("Vestibule") { "" } else { " class=\"peer\"" };
            let _ = writeln!(
                svg,
                "<text x=\"0\" y=\"{}\">{name}</text><rect{class} x=\"290\" y=\"{y}\" width=\"{width:.0}\" height=\"22\" rx=\"3\"/>\
                 <text x=\"{:.0}\" y=\"{}\">{per_s:.0}</text>",
                y + 16,
                298.0 + width,
                y + 16
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}
