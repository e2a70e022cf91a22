//! What gRPC puts around a message; benchmarks use it too.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;

/// A frame: not compressed, length, message (gRPC over HTTP/2, "Length-Prefixed-Message").
pub fn frame(message: &impl Message) -> Bytes {
    let encoded = message.encode_to_vec();
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(encoded.len()).unwrap());
    frame.extend_from_slice(&encoded);
    frame.freeze()
}
