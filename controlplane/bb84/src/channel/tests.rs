use super::*;
use crate::sifting::sift;

const QUIET: ChannelSettings = ChannelSettings {
    pulses_per_second: 1,
    loss_db: 10.0,
    detector_efficiency: 0.5,
    dark_count_probability: 0.0,
    misalignment: 0.0,
    eavesdropper: 0.0,
};

/// Clicks, sifted bits, and wrong ones among them, of that many pulses.
fn run(channel: &ChannelSettings, pulses: u32) -> (usize, usize, usize) {
    let mut random = Random::from_seed(&[1; 32]);
    let train = Train { number: 0, pulses, seed: random.seed() };
    let clicks = transmit(&train, channel, usize::MAX, &mut random);
    let sifted = sift(&train, &clicks.pulses, &clicks.bases).unwrap();
    (clicks.pulses.len(), sifted.bits.len(), clicks.bits.select(&sifted.kept, true).distance(&sifted.bits))
}

/// How many standard deviations a count is from what was expected of so many tries.
fn deviation(count: usize, tries: usize, probability: f64) -> f64 {
    let expected = tries as f64 * probability;
    (count as f64 - expected).abs() / (expected * (1.0 - probability)).sqrt()
}

#[test]
fn a_perfect_channel_loses_photons_and_makes_no_errors() {
    let (clicks, sifted, wrong) = run(&QUIET, 4_000_000);
    assert!(deviation(clicks, 4_000_000, 0.05) < 4.0, "{clicks}");
    assert!(deviation(sifted, clicks, 0.5) < 4.0, "{sifted} of {clicks}");
    assert_eq!(wrong, 0);
}

#[test]
fn without_loss_every_pulse_clicks() {
    let (clicks, ..) = run(&ChannelSettings { loss_db: 0.0, detector_efficiency: 1.0, ..QUIET }, 10_000);
    assert_eq!(clicks, 10_000);
}

#[test]
fn without_light_only_darkness_clicks_and_half_of_it_is_wrong() {
    let dark = ChannelSettings { detector_efficiency: 0.0, dark_count_probability: 0.01, ..QUIET };
    let (clicks, sifted, wrong) = run(&dark, 4_000_000);
    assert!(deviation(clicks, 4_000_000, 0.0199) < 4.0, "{clicks}");
    assert!(deviation(wrong, sifted, 0.5) < 4.0, "{wrong} of {sifted}");
    let nothing = ChannelSettings { detector_efficiency: 0.0, ..QUIET };
    assert_eq!(run(&nothing, u32::MAX), (0, 0, 0));
    assert_eq!(nothing.expected_qber(), 0.5);
}

#[test]
fn errors_are_as_many_as_misalignment_and_dark_counts_make() {
    let noisy = ChannelSettings { misalignment: 0.02, dark_count_probability: 1e-3, ..QUIET };
    let (clicks, sifted, wrong) = run(&noisy, 4_000_000);
    assert!(deviation(clicks, 4_000_000, noisy.click_probability()) < 4.0, "{clicks}");
    // 5 % photons of which 2 % are wrong, beside 0.2 % dark counts of which half are: about 3.8 %.
    assert!((0.037..0.040).contains(&noisy.expected_qber()), "{}", noisy.expected_qber());
    assert!(deviation(wrong, sifted, noisy.expected_qber()) < 4.0, "{wrong} of {sifted}");
}

#[test]
fn an_eavesdropper_who_intercepts_everything_makes_a_quarter_wrong() {
    let heard = ChannelSettings { eavesdropper: 1.0, ..QUIET };
    let (_, sifted, wrong) = run(&heard, 4_000_000);
    assert!((heard.expected_qber() - 0.25).abs() < 1e-9);
    assert!(deviation(wrong, sifted, 0.25) < 4.0, "{wrong} of {sifted}");
    let (_, sifted, wrong) = run(&ChannelSettings { eavesdropper: 0.2, ..QUIET }, 4_000_000);
    assert!(deviation(wrong, sifted, 0.05) < 4.0, "{wrong} of {sifted}");
}

#[test]
fn a_receiver_records_no_more_than_it_has_room_for() {
    let mut random = Random::from_seed(&[2; 32]);
    let train = Train { number: 0, pulses: 1_000_000, seed: random.seed() };
    let clicks = transmit(&train, &QUIET, 1000, &mut random);
    assert_eq!((clicks.pulses.len(), clicks.bases.len(), clicks.bits.len()), (1000, 1000, 1000));
}

#[test]
fn settings_out_of_bounds_are_named() {
    assert_eq!(ChannelSettings::default().check(), Ok(()));
    let refused = |settings: ChannelSettings| settings.check().unwrap_err().field;
    assert_eq!(refused(ChannelSettings { eavesdropper: 1.1, ..QUIET }), "eavesdropper");
    assert_eq!(refused(ChannelSettings { loss_db: f64::NAN, ..QUIET }), "loss_db");
    assert_eq!(refused(ChannelSettings { pulses_per_second: 0, ..QUIET }), "pulses_per_second");
    assert_eq!(refused(ChannelSettings { misalignment: 0.6, ..QUIET }), "misalignment");
}
