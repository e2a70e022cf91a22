//! Randomness as an argument. Nothing else in the crate draws random numbers for secrets or identifiers.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Where random bytes come from.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` with bytes fit for secrets.
    fn fill(&self, buffer: &mut [u8]);
}

/// 256 random bits as 43 base64url characters: cookies and authorization codes.
pub fn secret_text(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes that are all the same.
#[cfg(test)]
pub(crate) struct Fixed(pub u8);

#[cfg(test)]
impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0);
    }
}
