//! The interface to applications: ETSI GS QKD 014 V1.1.1.

mod container;
mod error;
mod extensions;
mod model;
mod routes;

pub use self::container::ContainerText;
pub use self::error::{ApiError, ErrorBody};
pub use self::extensions::{Extensions, Wanted};
pub use self::model::{CheckedRequest, KeyContainer, KeyId, KeyIds, KeyRequest, Limits, NamedKey, Status};
pub use self::routes::{SaeRoutes, refusal, router};
