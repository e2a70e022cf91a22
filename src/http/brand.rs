//! The style sheet of a brand colour.

/// The configured colour as style sheet variables, in shades that stay readable in light and in dark mode.
///
/// `--on-brand` on `--brand` and `--brand-text` on page and card reach 4.5 to 1 (WCAG 2.2 §1.4.3);
/// `--brand-edge`, which draws the outline of what is filled with `--brand`, reaches 3 to 1 against the card
/// (§1.4.11). A colour that is not `#rrggbb` gives the default one.
pub fn brand_css(accent: &str) -> String {
    let colour = Rgb::parse(accent).unwrap_or(DEFAULT_ACCENT);
    // Dark mode lightens the fill before it looks for a text colour, or a dark brand would sink into the card.
    let light = shades(colour, INK, LIGHT_GROUND, WHITE);
    let dark = shades(colour.nearest(WHITE, |c| c.contrast(DARK_CARD) >= 3.0), WHITE, DARK_CARD, DARK_CARD);
    format!(
        ":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}\n\
         :root[data-theme=dark]{{{dark}}}\n"
    )
}

/// The mark of whoever has no logo, in the configured colour.
pub fn mark(accent: &str) -> String {
    let colour = Rgb::parse(accent).unwrap_or(DEFAULT_ACCENT).css();
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="{colour}" d="M6 29V14a10 10 0 0 1 20 0v15z"/><path fill="#fbe9c6" d="M11 29V14a5 5 0 0 1 10 0v15z"/></svg>"##
    )
}

/// The variables for one colour scheme: `fill` is moved `toward` black or white only as far as readers need.
fn shades(fill: Rgb, toward: Rgb, ground: Rgb, card: Rgb) -> String {
    let brand = fill.nearest(toward, |c| c.contrast(c.text_on()) >= 4.5);
    let text = brand.nearest(toward, |c| c.contrast(ground) >= 4.5);
    let edge = if brand.contrast(card) >= 3.0 { brand } else { text };
    let (brand, on, text, edge) = (brand.css(), brand.text_on().css(), text.css(), edge.css());
    format!("--brand:{brand};--on-brand:{on};--brand-text:{text};--brand-edge:{edge}")
}

const DEFAULT_ACCENT: Rgb = Rgb(0x3f, 0x4a, 0x8a);
const WHITE: Rgb = Rgb(255, 255, 255);
const INK: Rgb = Rgb(0x12, 0x14, 0x1c);
/// The page behind the card in light mode, as `--ground` in `static/vestibule.css`.
const LIGHT_GROUND: Rgb = Rgb(0xf4, 0xf3, 0xef);
/// The card in dark mode, as `--card` in `static/vestibule.css`.
const DARK_CARD: Rgb = Rgb(0x1a, 0x1d, 0x27);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Rgb(u8, u8, u8);

impl Rgb {
    fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix('#').filter(|h| h.len() == 6 && h.is_ascii())?;
        let part = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).ok();
        Some(Self(part(0)?, part(2)?, part(4)?))
    }

    fn css(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance() + 0.05, other.luminance() + 0.05);
        if a > b { a / b } else { b / a }
    }

    /// White or ink, whichever reads better on this colour.
    fn text_on(self) -> Self {
        if self.contrast(WHITE) >= self.contrast(INK) { WHITE } else { INK }
    }

    /// This colour, mixed with `toward` just as much as `enough` asks for.
    fn nearest(self, toward: Self, enough: impl Fn(Self) -> bool) -> Self {
        (0..=20u8).map(|step| self.mix(toward, step)).find(|c| enough(*c)).unwrap_or(toward)
    }

    fn mix(self, other: Self, twentieths: u8) -> Self {
        let part = |a: u8, b: u8| {
            let (a, b, t) = (u16::from(a), u16::from(b), u16::from(twentieths));
            u8::try_from((a * (20 - t) + b * t) / 20).unwrap_or(u8::MAX)
        };
        Self(part(self.0, other.0), part(self.1, other.1), part(self.2, other.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a variable of `brand_css`: 0 for light mode, 1 for dark.
    fn variable(css: &str, name: &str, scheme: usize) -> Rgb {
        let (start, found) = css.match_indices(&format!("{name}:#")).nth(scheme).unwrap();
        let value = start + found.len() - 1;
        Rgb::parse(&css[value..value + 7]).unwrap()
    }

    #[test]
    fn any_accent_colour_stays_readable() {
        let steps = || (0..=255u8).step_by(15);
        let accents = steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| Rgb(r, g, b))));
        for accent in accents {
            let css = brand_css(&accent.css());
            for (scheme, ground, card) in [(0, LIGHT_GROUND, WHITE), (1, DARK_CARD, DARK_CARD)] {
                let value = |name| variable(&css, name, scheme);
                assert!(value("--brand").contrast(value("--on-brand")) >= 4.5, "{accent:?}: {css}");
                assert!(value("--brand-text").contrast(ground) >= 4.5, "{accent:?}: {css}");
                assert!(value("--brand-edge").contrast(card) >= 3.0, "{accent:?}: {css}");
            }
        }
    }

    #[test]
    fn the_mark_has_the_accent_colour_and_nothing_else_of_what_was_configured() {
        assert!(mark("#123456").contains("fill=\"#123456\""));
        assert_eq!(mark("\"/><script>"), mark("#3f4a8a"));
    }

    #[test]
    fn a_readable_accent_is_left_as_configured_and_nonsense_gives_the_default() {
        let navy = Rgb(0x3f, 0x4a, 0x8a);
        assert_eq!(variable(&brand_css("#3f4a8a"), "--brand", 0), navy);
        assert_eq!(variable(&brand_css("red;}body{display:none"), "--brand", 0), DEFAULT_ACCENT);
    }
}
