//! What other key servers may ask of this one.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use http::request::Parts;
use photongate_net::now;
use photongate_net::tls::CertificateInfo;
use photongate_wire::Nanos;

use super::link_state::LinkState;
use super::neighbour::{Neighbour, Neighbours};
use super::relaying::{self, Relay, Reply};
use super::wire::{
    AnnounceAnswer, AnnounceRequest, Announced, HandoverAnswer, HandoverRequest, Known, MOST_ANNOUNCED,
    MOST_RESERVATIONS, MOST_VOIDED, Purpose, Refusal, Reservation, ReserveAnswer, ReserveRequest, ReviewAnswer,
    ReviewRequest, VoidRequest,
};
use crate::chair::Chair;
use crate::directory::{Directory, Place};
use crate::drkey::{DrkeyError, DrkeyService, Level1Answer, Level1Question};
use crate::faults::point;
use crate::ids::{LinkId, QksId, SaeId};
use crate::relay::frame::Frame;
use crate::routing::{Message, is_server};
use crate::sae::Limits;
use crate::stock::{BlockName, Mark};
use crate::store::{Assignment, Material, Standstill, Store, StoreError, Use};

/// What the routes need.
#[derive(Clone, Debug)]
pub struct PeerRoutes {
    /// Who may ask.
    pub neighbours: Arc<Neighbours>,
    /// Which applications are served here.
    pub directory: Arc<Directory>,
    /// Where relayed keys go.
    pub relay: Relay,
    /// Who makes DRKeys.
    pub drkeys: Arc<DrkeyService>,
    /// Where messages about routes go.
    pub link_state: LinkState,
    /// What is kept.
    pub store: Store,
    /// What keys may be.
    pub limits: Limits,
    /// How long keys wait at most.
    pub key_lifetime: Nanos,
    /// Whether this process speaks for the server.
    pub chair: Chair,
}

/// The routes. Requests must carry the [`CertificateInfo`] of the caller.
pub fn router(routes: PeerRoutes) -> Router {
    Router::new()
        .route("/peer/v1/reserve", post(reserve))
        .route("/peer/v1/void", post(void))
        .route("/peer/v1/blocks", post(blocks))
        .route("/peer/v1/handover", post(handover))
        .route("/peer/v1/review", post(review))
        .route("/peer/v1/links/{link}/{source}", post(ask))
        .route("/peer/v1/routing", post(routing))
        .route("/peer/v1/relay", post(relay))
        .route("/peer/v1/relay/void", post(relay_void))
        .route("/peer/v1/drkey/level1", post(drkey))
        .with_state(routes)
}

/// How a body that breaks the bounds is refused.
pub fn refusal(status: StatusCode, sentence: &str) -> Response {
    (status, sentence.to_owned()).into_response()
}

/// The neighbour that calls.
struct Calling(Arc<Neighbour>);

/// An answer that is not what was asked for: a status, and a sentence.
type Refused = (StatusCode, String);

impl FromRequestParts<PeerRoutes> for Calling {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, routes: &PeerRoutes) -> Result<Self, Refused> {
        if !routes.chair.is_held() {
            let elsewhere = "another process of this server answers other key servers";
            return Err((StatusCode::MISDIRECTED_REQUEST, elsewhere.to_owned()));
        }
        let unauthorized = || (StatusCode::UNAUTHORIZED, "the certificate names no neighbour".to_owned());
        let certificate = parts.extensions.get::<Arc<CertificateInfo>>().ok_or_else(unauthorized)?;
        let neighbour = |name: &str| routes.neighbours.get(&name.parse::<QksId>().ok()?);
        let found = certificate.subject.common_names().find_map(neighbour);
        // An application of the same authority may be called like a server.
        match found.filter(|neighbour| is_server(&certificate.subject, neighbour.id())) {
            Some(neighbour) => Ok(Self(neighbour)),
            None => {
                tracing::warn!(subject = %certificate.subject, "somebody who is no neighbour calls");
                Err(unauthorized())
            }
        }
    }
}

async fn reserve(
    Calling(neighbour): Calling,
    State(routes): State<PeerRoutes>,
    Json(request): Json<ReserveRequest>,
) -> Result<Json<ReserveAnswer>, Refused> {
    bounded(request.reservations.len(), MOST_RESERVATIONS)?;
    point("reserve-heard");
    let outcomes = routes.keep(&neighbour, request.reservations).await;
    point("reserve-kept");
    Ok(Json(ReserveAnswer { outcomes }))
}

async fn void(
    Calling(_): Calling,
    State(routes): State<PeerRoutes>,
    Json(request): Json<VoidRequest>,
) -> Result<Json<()>, Refused> {
    bounded(request.ids.len(), MOST_VOIDED)?;
    routes.store.void(request.ids).await.map_err(unavailable)?;
    Ok(Json(()))
}

async fn blocks(
    Calling(neighbour): Calling,
    State(routes): State<PeerRoutes>,
    Json(request): Json<AnnounceRequest>,
) -> Result<Json<AnnounceAnswer>, Refused> {
    bounded(request.blocks.len(), MOST_ANNOUNCED)?;
    let mut ahead = Vec::new();
    let (blocks, removed) = {
        let mut stock = neighbour.stock();
        let mut removed = Vec::new();
        let mut known = Vec::with_capacity(request.blocks.len());
        for Announced { block, used, check } in request.blocks {
            known.push(match stock.get(block) {
                None => Known::Unknown,
                Some(state) if state.check == check && !state.is_mine && used <= state.length => {
                    if state.used < used {
                        ahead.push(Mark { block, used });
                    }
                    Known::Used(state.used.max(used))
                }
                Some(_) => {
                    stock.remove(block);
                    removed.push(block);
                    Known::Different
                }
            });
        }
        (known, removed)
    };
    if !removed.is_empty() {
        tracing::error!(neighbour = %neighbour.id(), ?removed, "both ends have other bytes, or both give them out: they are thrown away");
        routes.store.remove_blocks(removed).await.map_err(unavailable)?;
    }
    if !ahead.is_empty() {
        // On disk before the neighbour relies on it: what it says is gone must not be given out after a handover.
        routes.store.advance(ahead.clone()).await.map_err(unavailable)?;
        let mut stock = neighbour.stock();
        ahead.into_iter().for_each(|mark| stock.advance(mark));
    }
    Ok(Json(AnnounceAnswer { blocks }))
}

async fn handover(
    Calling(neighbour): Calling,
    State(routes): State<PeerRoutes>,
    Json(request): Json<HandoverRequest>,
) -> Result<Json<HandoverAnswer>, Refused> {
    bounded(request.blocks.len(), MOST_ANNOUNCED)?;
    let moving = neighbour.moving.lock().await;
    let (unused, asked) = {
        let mut stock = neighbour.stock();
        let unused = stock.hand_over(&request.blocks);
        let in_use = |block: &BlockName| stock.get(*block).is_some_and(|state| state.is_mine);
        let asked: Vec<_> = request.blocks.into_iter().filter(|block| !in_use(block)).collect();
        (unused, asked)
    };
    // The answer to an earlier request may have been lost: then a block is neither end's, until it is said again. Not while this end asks,
    // too: it must not say that a block is the neighbour's which it is just about to get.
    let asking = neighbour.asking.try_lock();
    let handed = routes.store.hand_over(&asked, asking.is_ok()).await;
    drop(asking);
    point("handover-written");
    // What is not handed over, or perhaps not, is given out here once it is claimed anew.
    let is_handed = |block: &BlockName| handed.as_ref().is_ok_and(|handed| handed.contains(block));
    neighbour.lose(unused.into_iter().filter(|block| !is_handed(block)));
    let handed = handed.map_err(unavailable)?;
    if handed.iter().any(|block| neighbour.stock().get(*block).is_none()) {
        // No process had claimed it.
        let blocks = routes.store.neighbours_blocks(neighbour.id()).await.map_err(unavailable)?;
        let mut stock = neighbour.stock();
        for block in blocks {
            stock.add(block.name, block.state);
        }
    }
    drop(moving);
    Ok(Json(HandoverAnswer { blocks: handed }))
}

async fn review(
    Calling(neighbour): Calling,
    State(routes): State<PeerRoutes>,
    Json(request): Json<ReviewRequest>,
) -> Result<Json<ReviewAnswer>, Refused> {
    bounded(request.blocks.len(), MOST_ANNOUNCED)?;
    // As for a handover: not while this end is about to get some of them itself.
    let asking = neighbour.asking.try_lock();
    let reviewed = routes.store.review(&request.blocks).await.map_err(unavailable)?;
    let those = |wanted| reviewed.iter().filter(move |(_, why)| *why == wanted).map(|(block, _)| *block);
    let callers = if asking.is_ok() { those(Standstill::OtherEnds).collect() } else { Vec::new() };
    Ok(Json(ReviewAnswer { gone: those(Standstill::Gone).collect(), callers }))
}

async fn ask(
    Calling(neighbour): Calling,
    Path((link, source)): Path<(LinkId, u16)>,
    body: Bytes,
) -> Result<Bytes, Refused> {
    neighbour.answer(link, source, body).await.map_err(|why| (StatusCode::CONFLICT, why))
}

async fn routing(
    Calling(neighbour): Calling,
    State(routes): State<PeerRoutes>,
    Json(message): Json<Message>,
) -> Json<()> {
    routes.link_state.bring(neighbour.id().clone(), message);
    Json(())
}

async fn relay(Calling(neighbour): Calling, State(routes): State<PeerRoutes>, Json(frame): Json<Frame>) -> Json<Reply> {
    Json(routes.relay.on_frame(&neighbour, frame).await)
}

async fn relay_void(
    Calling(neighbour): Calling,
    State(routes): State<PeerRoutes>,
    Json(request): Json<relaying::VoidRequest>,
) -> Json<()> {
    routes.relay.on_void(neighbour.id(), request).await;
    Json(())
}

async fn drkey(
    Calling(neighbour): Calling,
    State(routes): State<PeerRoutes>,
    Json(question): Json<Level1Question>,
) -> Result<Json<Level1Answer>, DrkeyError> {
    routes.drkeys.answer(&neighbour, &question).await.map(Json)
}

impl PeerRoutes {
    /// Keeps what a neighbour reserves, in one transaction. Returns what stands against each, in their order.
    async fn keep(&self, neighbour: &Neighbour, reservations: Vec<Reservation>) -> Vec<Option<Refusal>> {
        let mut outcomes = Vec::with_capacity(reservations.len());
        let mut kept = Vec::with_capacity(reservations.len());
        let mut uses = Vec::with_capacity(reservations.len());
        for (index, reservation) in reservations.into_iter().enumerate() {
            let announced = reservation.material.pieces.clone();
            let is_for_message = matches!(reservation.purpose, Purpose::OneMessage);
            outcomes.push(match self.accept(reservation) {
                Ok(accepted) => {
                    uses.push(accepted);
                    kept.push((index, announced, is_for_message));
                    None
                }
                Err(reason) => Some(Refusal::Request(reason)),
            });
        }
        let count = uses.len();
        let given = match self.store.give_out(uses).await {
            Ok(given) => given.into_iter().map(|outcome| outcome.map_err(Refusal::Material)).collect(),
            Err(error) => vec![Err(Refusal::Unavailable(error.to_string())); count],
        };
        for ((index, announced, is_for_message), given) in kept.into_iter().zip(given) {
            match given {
                Ok(()) => {
                    let ends =
                        announced.iter().map(|piece| Mark { block: piece.block, used: piece.offset + piece.length });
                    ends.for_each(|mark| neighbour.stock().advance(mark));
                    if is_for_message {
                        neighbour.one_time().announce(announced);
                    }
                }
                Err(refusal) => outcomes[index] = Some(refusal),
            }
        }
        outcomes
    }

    /// What is to be kept for a reservation, or why it is none.
    fn accept(&self, reservation: Reservation) -> Result<Use, String> {
        let Reservation { id, material, purpose } = reservation;
        let pieces: u64 = material.pieces.iter().map(|piece| u64::from(piece.length)).sum();
        if material.sealed.is_some() || pieces != material.bytes() {
            return Err("the pieces do not make up the keys".to_owned());
        }
        match purpose {
            Purpose::Keys { master, takers, lifetime_ms } => {
                self.check(&material, &takers)?;
                let lifetime = Nanos(lifetime_ms.saturating_mul(1_000_000)).min(self.key_lifetime);
                let expires_at = now().saturating_add(lifetime);
                Ok(Use::of(Assignment { id, master, takers, material, expires_at }))
            }
            Purpose::OneMessage if pieces > LONGEST_MESSAGE_KEY => Err("a message has a shorter key".to_owned()),
            Purpose::OneMessage => Ok(Use::up(material, now().saturating_add(ONE_MESSAGE))),
        }
    }

    /// Whether keys for applications are what they may be.
    pub(super) fn check(&self, material: &Material, takers: &[SaeId]) -> Result<(), String> {
        let Limits { min_key_size_bits, max_key_size_bits, max_keys_per_request, max_sae_ids, .. } = self.limits;
        if !(min_key_size_bits / 8..=max_key_size_bits / 8).contains(&material.key_bytes) {
            return Err(format!("keys of {} bytes are not given out here", material.key_bytes));
        }
        if !(1..=max_keys_per_request).contains(&material.count) {
            return Err(format!("{} keys are not given out in one go here", material.count));
        }
        if takers.is_empty() || takers.len() > max_sae_ids as usize + 1 {
            return Err("the number of applications is out of bounds".to_owned());
        }
        match takers.iter().find(|taker| self.directory.place(taker) != Place::Here) {
            Some(taker) => Err(format!("the application {taker} is not served here")),
            None => Ok(()),
        }
    }
}

fn bounded(count: usize, most: usize) -> Result<(), Refused> {
    let too_many = || (StatusCode::PAYLOAD_TOO_LARGE, format!("{count} at once are too many: {most} at most"));
    if count > most { Err(too_many()) } else { Ok(()) }
}

#[allow(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn unavailable(error: StoreError) -> Refused {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// How long the bytes of a message's key stay.
const ONE_MESSAGE: Nanos = Nanos::from_secs(120);

/// In bytes.
const LONGEST_MESSAGE_KEY: u64 = 1024 * 1024;
