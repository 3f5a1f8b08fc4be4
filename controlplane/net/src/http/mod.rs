//! An HTTP server for operators: who may call, and what every answer has in common.
//!
//! A role builds its routes with axum and this module's extractors ([`Read`], [`Admin`]). Whatever is refused is a [`Problem`].
//! Changes are written to the [`Audit`] log before they happen.

mod audit;
mod caller;
mod openapi;
mod problem;

pub use audit::{Audit, AuditError, Intent, Outcome};
pub use caller::{Admin, Caller, Identity, Read, Role};
pub use openapi::{ChangeRefusals, ReadRefusals, Security};
pub use problem::{FieldProblem, Problem};
