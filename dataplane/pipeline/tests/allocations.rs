//! The packet path asks nobody for memory.

mod support;

use photongate_crypto::backend;
use photongate_pipeline::duplicates::{DuplicateFilter, Sizing};
use photongate_pipeline::timestamps::TimestampIssuer;
use photongate_pipeline::{
    Clock, Encapsulation, Encapsulations, Frame, Outcome, Parts, PeerEncapsulation, Pipeline, PortIndex, Verdict,
};
use std::sync::Arc;
use support::{A, B, HEADROOM, INSIDE, NOW, OUTSIDE, TAILROOM, encapsulated, plain, plain_v6};

#[test]
fn no_packet_makes_the_pipeline_allocate() {
    let good = encapsulated(&plain(), NOW);
    let good_v6 = encapsulated(&plain_v6(), NOW);
    let altered = |at: usize| {
        let mut packet = good.clone();
        packet[at] ^= 1;
        packet
    };
    let (bad_ip, bad_mac, bad_hash) = (altered(20), altered(14 + 20 + 8 + 55), altered(good.len() - 1));
    let mut sender = A.filter(NOW, |_| {});
    sender.use_encapsulation(NOW, PeerEncapsulation::only(Encapsulation::Lf2));
    let in_lf2 = sender.judge(INSIDE, NOW, &plain()).1;
    let inbound = [
        &good[..],
        &in_lf2,
        &in_lf2[..in_lf2.len() - 1],
        &good_v6,
        &good,
        &bad_ip,
        &bad_mac,
        &bad_hash,
        &good[..40],
        &plain(),
        &[],
    ]
    .map(<[u8]>::to_vec);
    let outbound = [plain(), plain_v6(), bad_ip];
    for backend in backend::available() {
        for (side, port, packets, verdict, send) in [
            (B, OUTSIDE, &inbound[..], Verdict::Accepted, Encapsulation::Lf),
            (A, INSIDE, &outbound[..], Verdict::Outbound, Encapsulation::Lf),
            (A, INSIDE, &outbound[..], Verdict::Outbound, Encapsulation::Lf2),
        ] {
            let mut filter = side.filter(NOW, |_| {});
            filter.use_encapsulation(NOW, PeerEncapsulation { send, accept: Encapsulations::ALL });
            let threshold = filter.settings.times.time_threshold;
            let sizing = Sizing::new(10_000, 1e-9, threshold, 64 << 20, 1).unwrap();
            let mut pipeline = Pipeline::new(Parts {
                settings: Arc::new(filter.settings.clone()),
                backend,
                duplicates: Some(DuplicateFilter::new(&sizing, [1, 2])),
                issuer: TimestampIssuer::new(0, 1, threshold),
                worker: 0,
            });
            let mut buffers = in_buffers(packets);
            let mut frames: Vec<Frame<'_>> = frames(&mut buffers, port);
            let mut outcomes = vec![Outcome::UNDECIDED; frames.len()];
            let clock = Clock { unix: NOW, monotonic: NOW };

            let counted = allocation_counter::measure(|| {
                pipeline.process(&filter.dictionary, clock, &mut frames, &mut outcomes, &mut ());
            });

            assert_eq!(counted.count_total, 0, "with {}", backend.name());
            assert_eq!(outcomes[0].verdict, verdict, "or nothing was measured");
        }
    }
}

fn in_buffers(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    packets.iter().map(|packet| [&[0; HEADROOM], &packet[..], &[0; TAILROOM]].concat()).collect()
}

fn frames(buffers: &mut [Vec<u8>], port: PortIndex) -> Vec<Frame<'_>> {
    buffers
        .iter_mut()
        .map(|buffer| {
            let end = buffer.len() - TAILROOM;
            Frame::new(buffer, HEADROOM, end, port)
        })
        .collect()
}
