//! An HTTP server for operators: who may call, and what every answer has in common.
//!
//! A role builds its routes with axum and this module's extractors ([`Read`], [`Admin`]). Whatever is refused is a
//! [`Problem`]. Changes are written to the [`Audit`] log before they happen.

mod assets;
mod audit;
mod body;
mod browser;
mod caller;
mod callers;
mod described;
mod docs;
mod events;
mod extract;
mod gate;
mod guard;
mod limits;
mod listener;
mod machine;
mod management;
mod openapi;
mod patience;
mod problem;
mod readiness;
mod server;
mod token;

pub use assets::{Asset, Assets, asset_types};
pub use audit::{Audit, AuditError, Intent, Outcome};
pub use body::body_limit;
pub use caller::{Admin, Caller, Identity, Read, Role};
pub use callers::Callers;
pub use described::{HEALTH, common_routes};
pub use docs::{docs_answer, docs_page, docs_style};
pub use events::Events;
pub use extract::{JsonBody, Path, Query, bad_request};
pub use listener::{BindError, Listen};
pub use machine::{MachineOptions, MachineServer, Refusal};
pub use management::{Management, ManagementConfig, ManagementDefaults, ManagementError, ManagementTls};
pub use openapi::{ChangeRefusals, ReadRefusals, Security, complete_description, description_mistakes};
pub use problem::{FieldProblem, Problem};
pub use readiness::Readiness;
pub use server::{Bounds, Server, ServerOptions};
pub use token::{TokenError, TokenFile};

#[cfg(test)]
mod tests;
