//! Why bytes are not the header they were taken for.

/// Why bytes are not the header they were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// The bytes end inside the header.
    #[error("the bytes end inside the header")]
    Truncated,
    /// The version field names another version, of IP or of `lf2`.
    #[error("the version field names another version")]
    Version,
    /// The header says that it is shorter than its fixed part.
    #[error("the header says that it is shorter than its fixed part")]
    HeaderLength,
    /// The length field covers less than the header, or more than there is.
    #[error("the length field covers less than the header, or more than there is")]
    Length,
    /// An IPv6 payload length of zero: a jumbogram (RFC 2675), or a packet that carries nothing.
    #[error("the IPv6 payload length is zero: a jumbogram, or an empty packet")]
    Jumbogram,
    /// More IPv6 extension headers than [`MAX_EXTENSION_HEADERS`](crate::ipv6::MAX_EXTENSION_HEADERS).
    #[error("too many IPv6 extension headers")]
    TooManyExtensionHeaders,
    /// A reserved field that must be zero is not.
    #[error("a reserved field is not zero")]
    Reserved,
}
