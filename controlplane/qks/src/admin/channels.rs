//! Channels of simulated QKD links, which may be changed while keys come over them.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::{
    Admin as AdminCaller, ChangeRefusals, JsonBody, Path, Problem, Read, ReadRefusals, bad_request,
};
use serde::Deserialize;

use super::model::Channel;
use super::{Admin, openapi};
use crate::ids::LinkId;
use crate::links::bb84::{ChannelSettings, Control};

/// Which channel.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    link: LinkId,
    source: usize,
    channel: usize,
}

/// What a simulated channel is like.
#[utoipa::path(
    get, path = "/api/v1/links/{link}/sources/{source}/channels/{channel}", tag = openapi::LINKS, operation_id = "get_channel",
    params(
        ("link" = String, Path, description = "The link.", example = "a-to-b", min_length = 1, max_length = 255),
        ("source" = usize, Path, description = "Which of its sources, counted from 0.", example = 0),
        ("channel" = usize, Path, description = "Which of the source's channels, counted from 0. A `hybrid` may have two.", example = 0),
    ),
    responses(
        (status = 200, description = "What is in force, as far as this end knows.", body = Channel),
        (status = 404, response = openapi::NotFound),
        ReadRefusals,
    ),
)]
pub(super) async fn show(
    State(admin): State<Admin>,
    _: Read,
    Path(place): Path<Place>,
) -> Result<Json<Channel>, Problem> {
    Ok(Json(admin.control(&place)?.settings().into()))
}

/// Changes a simulated channel: how fast the sender is, what is lost and disturbed, and who listens.
///
/// It takes effect at both ends with the next pulses, and lasts until this server starts again.
#[utoipa::path(
    put, path = "/api/v1/links/{link}/sources/{source}/channels/{channel}", tag = openapi::LINKS, operation_id = "set_channel",
    params(
        ("link" = String, Path, description = "The link.", example = "a-to-b", min_length = 1, max_length = 255),
        ("source" = usize, Path, description = "Which of its sources, counted from 0.", example = 0),
        ("channel" = usize, Path, description = "Which of the source's channels, counted from 0. A `hybrid` may have two.", example = 0),
    ),
    request_body = Channel,
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 200, description = "What is in force now.", body = Channel),
        (status = 404, response = openapi::NotFound),
        (status = 415, description = "The body is no JSON by its media type.", body = Problem, content_type = "application/problem+json"),
        ChangeRefusals,
    ),
)]
pub(super) async fn set(
    State(admin): State<Admin>,
    AdminCaller(caller): AdminCaller,
    Path(place): Path<Place>,
    JsonBody(channel): JsonBody<Channel>,
) -> Result<Json<Channel>, Problem> {
    let control = admin.control(&place)?;
    let target = format!("{}/{}/{}", place.link, place.source, place.channel);
    let set = async { control.set(channel.into()).map_err(|bad| bad_request(bad.to_string())) };
    admin.0.audit.change(&caller, "channel.set", target, set).await?;
    Ok(Json(control.settings().into()))
}

impl Admin {
    fn control(&self, place: &Place) -> Result<Control, Problem> {
        let sources = self.0.links.get(&place.link).and_then(|link| link.sources).unwrap_or_default();
        let channel = sources.get(place.source).and_then(|source| source.channels.get(place.channel));
        channel.cloned().ok_or_else(|| {
            let Place { link, source, channel } = place;
            let detail = format!("source {source} of link {link} has no simulated channel {channel}");
            Problem::new(StatusCode::NOT_FOUND, "No such channel").with_detail(detail)
        })
    }
}

impl From<ChannelSettings> for Channel {
    fn from(settings: ChannelSettings) -> Self {
        let ChannelSettings {
            pulses_per_second,
            loss_db,
            detector_efficiency,
            dark_count_probability,
            misalignment,
            eavesdropper,
        } = settings;
        Self { pulses_per_second, loss_db, detector_efficiency, dark_count_probability, misalignment, eavesdropper }
    }
}

impl From<Channel> for ChannelSettings {
    fn from(channel: Channel) -> Self {
        let Channel {
            pulses_per_second,
            loss_db,
            detector_efficiency,
            dark_count_probability,
            misalignment,
            eavesdropper,
        } = channel;
        Self { pulses_per_second, loss_db, detector_efficiency, dark_count_probability, misalignment, eavesdropper }
    }
}
