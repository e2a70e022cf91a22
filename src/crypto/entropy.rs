//! Randomness from the operating system, and its way into libraries that want a generator of their own kind.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use rand::{Rng as _, TryCryptoRng, TryRng};

use crate::domain::entropy::Entropy;

/// The process's generator, seeded by the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that may use the process's generator")]
    fn fill(&self, buffer: &mut [u8]) {
        rand::rng().fill_bytes(buffer);
    }
}

/// An [`Entropy`] as the generator that key generation takes.
pub struct EntropyRng<'a>(pub &'a dyn Entropy);

impl TryRng for EntropyRng<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(dst);
        Ok(())
    }
}

impl TryCryptoRng for EntropyRng<'_> {}

/// Randomness that a seed makes repeatable: HMAC-SHA-256 over a counter. For tests alone, since whoever knows the
/// seed knows every code.
pub struct SeededEntropy {
    key: hmac::Key,
    counter: AtomicU64,
}

impl SeededEntropy {
    pub fn new(seed: &str) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, seed.as_bytes()), counter: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let number = self.counter.fetch_add(1, Ordering::SeqCst);
            let block = hmac::sign(&self.key, &number.to_be_bytes());
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        let draw = |seed: &str| {
            let (entropy, mut bytes) = (SeededEntropy::new(seed), [0; 70]);
            entropy.fill(&mut bytes[..33]);
            entropy.fill(&mut bytes[33..]);
            bytes
        };
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
    }
}
