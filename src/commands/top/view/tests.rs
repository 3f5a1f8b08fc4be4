//! What is on the screen, cell by cell.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use photongate_agent::api::{
    AsListInForce, AsListOrigin, Count, Degraded, KeyEpoch, Peer, PeerKeys, PeerSummary, PeersPage, Sample, Status,
    Traffic, Worker,
};
use photongate_agent::client::PeersAsked;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::*;
use crate::commands::top::feed::{News, Polled};
use crate::commands::top::peers::PAGE;

#[test]
fn before_anything_is_heard_it_says_that_it_connects() {
    let mut app = App::new("/run/api.sock".to_owned());
    let screen = screen(&mut app, 80, 24);
    assert!(screen[0].starts_with("connecting …"), "{screen:#?}");
    assert!(screen[1].starts_with("/run/api.sock"));
}

#[test]
fn the_smallest_terminal_shows_everything_that_matters() {
    let mut app = app_with(&[peer(1, 500, None), peer(2, 100, Some(false))]);
    let screen = screen(&mut app, 80, 24);
    assert!(screen[0].contains("✖ NOT READY  AS list 7  up 1 d 1 h  lost 3"), "{screen:#?}");
    assert!(screen[1].contains("worker 1 does not poll"), "{screen:#?}");
    let all = screen.join("\n");
    for part in [
        "accepted       100 pkt/s  800 kbit/s",
        "dropped         50 pkt/s",
        "  0 ██████░░░░░░  50%",
        "  1 ✖ DOES NOT POLL",
        "     50          100 bad_mac",
        "▸peers: 2, by traffic",
        "inbound key",
        "███░░░ 50s",
        "no key",
    ] {
        assert!(all.contains(part), "{part} is missing in\n{all}");
    }
}

#[test]
fn degraded_peers_come_first_and_the_last_line_says_why() {
    let mut app = app_with(&[peer(1, 500, None), peer(2, 100, Some(false)), peer(3, 0, Some(true))]);
    let screen = screen(&mut app, 80, 24);
    let rows: Vec<_> = screen[3..].iter().filter(|line| line.contains("-ff00:0:")).collect();
    assert!(rows[0].starts_with("✖ 3-ff00:0:110/3"), "{screen:#?}");
    assert!(rows[1].starts_with("! 2-ff00:0:110/3"));
    assert!(rows[2].starts_with("  1-ff00:0:110/3"));
    assert!(rows[3].starts_with("3-ff00:0:110 (lf): DARK: the secret cannot be read"), "{screen:#?}");
    press(&mut app, KeyCode::Down);
    assert!(self::screen(&mut app, 80, 24).join("\n").contains("2-ff00:0:110 (lf): dark in 5 min 0 s: the secret"));
}

#[test]
fn the_last_line_says_in_which_encapsulation_the_peer_is_sent_packets() {
    let mut peer = peer(1, 0, None);
    peer.encapsulation = "lf2".to_owned();
    let changing = screen(&mut app_with(std::slice::from_ref(&peer)), 80, 24).join("\n");
    assert!(changing.contains("1-ff00:0:110 (lf2, accepts lf): 10.0.0.0/8"), "{changing}");
    peer.accept = vec!["lf2".to_owned()];
    let changed = screen(&mut app_with(&[peer]), 80, 24).join("\n");
    assert!(changed.contains("1-ff00:0:110 (lf2): 10.0.0.0/8"), "{changed}");
}

#[test]
fn peers_are_sorted_by_what_is_asked_for() {
    let mut app = app_with(&[peer(1, 100, None), peer(2, 500, None)]);
    let first = |app: &mut App| {
        let screen = screen(app, 80, 24);
        screen[3..].iter().find_map(|line| Some(line.split_once("-ff00")?.0.trim().to_owned())).unwrap()
    };
    assert_eq!(first(&mut app), "2");
    press(&mut app, KeyCode::Char('s'));
    press(&mut app, KeyCode::Char('s'));
    assert_eq!(first(&mut app), "1");
    assert!(screen(&mut app, 80, 24).join("\n").contains("by ISD-AS"));
}

#[test]
fn of_a_hundred_thousand_peers_one_page_is_asked_for_at_a_time() {
    let mut app = App::new(String::new());
    let page = |from: usize, next: &str| PeersPage {
        peers: (from..from + PAGE).map(|isd| peer(isd, 0, None)).collect(),
        total: 100_000,
        next: Some(next.to_owned()),
    };
    let first = app.wanted();
    assert_eq!((first.limit, &first.after), (Some(PAGE), &None));
    app.on_news(polled(1, first.clone(), page(1, "after 500")));
    assert!(screen(&mut app, 80, 24).join("\n").contains("peers: 100000, page 1 of 200"));
    press(&mut app, KeyCode::End);
    assert_eq!(app.wanted(), first, "the last of the page is looked at");
    press(&mut app, KeyCode::Down);
    let second = app.wanted();
    assert_eq!(second.after.as_deref(), Some("after 500"));
    // What comes late, and is of the page before, is not shown.
    app.on_news(polled(2, first.clone(), page(1, "after 500")));
    assert!(app.peers.rows().is_empty());
    app.on_news(polled(3, second, page(501, "after 1000")));
    assert!(screen(&mut app, 80, 24).join("\n").contains("page 2 of 200"));
    press(&mut app, KeyCode::Up);
    assert_eq!(app.wanted(), first);
}

#[test]
fn what_is_typed_after_a_slash_is_searched_and_esc_ends_it() {
    let mut app = app_with(&[peer(1, 0, None)]);
    for letter in "/Zuq".chars() {
        press(&mut app, KeyCode::Char(letter));
    }
    press(&mut app, KeyCode::Backspace);
    assert_eq!(app.wanted().search.as_deref(), Some("Zu"));
    assert!(screen(&mut app, 80, 24)[23].starts_with("search: Zu"));
    press(&mut app, KeyCode::Enter);
    assert!(screen(&mut app, 80, 24).join("\n").contains("with \"Zu\""));
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.wanted().search, None);
    assert!(!app.has_ended());
}

#[test]
fn q_and_ctrl_c_end_it_but_q_in_a_search_is_a_letter() {
    let mut app = App::new(String::new());
    press(&mut app, KeyCode::Char('/'));
    press(&mut app, KeyCode::Char('q'));
    assert!(!app.has_ended());
    app.on_key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert!(app.has_ended());
    let mut app = App::new(String::new());
    press(&mut app, KeyCode::Char('q'));
    assert!(app.has_ended());
}

#[test]
fn a_lost_connection_is_told_until_something_is_heard_again() {
    let mut app = app_with(&[peer(1, 0, None)]);
    app.on_news(News::Lost("nobody answers at /run/api.sock\nis it running?".to_owned()));
    let line = screen(&mut app, 80, 24)[1].clone();
    assert!(line.starts_with("CONNECTION LOST, trying again: nobody answers at /run/api.sock "), "{line}");
    app.on_news(News::Sample(Box::new(sample(3))));
    assert!(!screen(&mut app, 80, 24)[1].contains("LOST"));
}

#[test]
fn help_covers_the_screen_until_a_key_is_pressed() {
    let mut app = app_with(&[peer(1, 0, None)]);
    press(&mut app, KeyCode::Char('?'));
    let help = screen(&mut app, 80, 24).join("\n");
    assert!(help.contains("help, any key ends it") && help.contains("name it, proven or not."), "{help}");
    press(&mut app, KeyCode::Char('q'));
    assert!(!app.has_ended() && !screen(&mut app, 80, 24).join("\n").contains("any key ends it"));
}

#[test]
fn tab_goes_round_the_panes_and_arrows_move_in_the_current_one() {
    let mut app = app_with(&[peer(1, 0, None)]);
    press(&mut app, KeyCode::Tab);
    press(&mut app, KeyCode::Down);
    let all = screen(&mut app, 80, 24).join("\n");
    assert!(all.contains("▸workers: 2") && !all.contains("██████░░░░░░"), "the first worker has moved out:\n{all}");
    for _ in 0..2 {
        press(&mut app, KeyCode::Tab);
    }
    assert!(screen(&mut app, 80, 24).join("\n").contains("▸peers"));
}

#[test]
fn any_size_can_be_drawn() {
    let mut app = app_with(&(1..50).map(|isd| peer(isd, isd as u64, Some(isd % 2 == 0))).collect::<Vec<_>>());
    for (width, height) in [(1, 1), (79, 24), (80, 23)] {
        assert!(!screen(&mut app, width, height).join("").contains("peers"), "{width}x{height}");
    }
    for (width, height) in [(80, 24), (81, 25), (120, 40), (300, 100)] {
        assert!(screen(&mut app, width, height).join("").contains("▸peers"), "{width}x{height}");
    }
}

#[test]
fn names_cannot_move_the_cursor() {
    let mut named = peer(1, 0, None);
    named.name = Some("a\u{1b}[2Jb\rc".to_owned());
    let mut app = app_with(&[named]);
    assert!(screen(&mut app, 80, 24).join("\n").contains("a[2Jbc"));
}

#[test]
fn without_colours_none_is_used() {
    let mut app = app_with(&[peer(1, 500, None), peer(2, 100, Some(true))]);
    app.on_news(News::Lost("gone".to_owned()));
    let colours = |app: &mut App, palette: &Palette| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, app, palette)).unwrap();
        let cells = terminal.backend().buffer().content().iter();
        cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(&mut app, &Palette::plain()), 0);
    assert!(colours(&mut app, &Palette::coloured()) > 0);
}

/// What a terminal of that size shows, line by line.
fn screen(app: &mut App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, &Palette::plain())).unwrap();
    let cells: Vec<_> = terminal.backend().buffer().content().iter().map(|cell| cell.symbol().to_owned()).collect();
    cells.chunks(usize::from(width)).map(<[String]>::concat).collect()
}

fn press(app: &mut App, code: KeyCode) {
    app.on_key(KeyEvent::new(code, KeyModifiers::NONE));
}

/// Two seconds of a filter with these peers.
fn app_with(peers: &[Peer]) -> App {
    let mut app = App::new("/run/api.sock".to_owned());
    for second in [1, 2] {
        app.on_news(News::Sample(Box::new(sample(second))));
        let peers = peers.iter().cloned().map(|mut peer| {
            peer.traffic.verdicts.values_mut().for_each(|count| count.packets *= second);
            peer
        });
        let page = PeersPage { peers: peers.collect(), total: 2, next: None };
        app.on_news(polled(second, app.wanted(), page));
    }
    app
}

fn sample(second: u64) -> Sample {
    let count = |packets| Count { packets, bytes: packets * 1_000 };
    Sample {
        at_unix_ms: START_MS + second * 1_000,
        traffic: Traffic {
            received: count(150 * second),
            verdicts: [("accepted".to_owned(), count(100 * second))].into(),
            dropped: [("bad_mac".to_owned(), count(50 * second))].into(),
        },
        busy: vec![0.5, 0.0],
        lost: 3,
        peers: PeerSummary::default(),
        as_list_generation: 7,
        ready: false,
        degraded: Vec::new(),
    }
}

fn polled(second: u64, asked: PeersAsked, peers: PeersPage) -> News {
    let status = Status {
        version: "0.1.0".to_owned(),
        isd_as: "1-ff00:0:111".to_owned(),
        started_at: String::new(),
        uptime_s: 90_000,
        ready: false,
        not_ready_because: vec!["worker 1 does not poll".to_owned()],
        workers: 2,
        peers: PeerSummary::default(),
        as_list: AsListInForce {
            generation: 7,
            digest: String::new(),
            peers: 2,
            origin: AsListOrigin::LastGood,
            applied_at: String::new(),
            last_refusal: None,
        },
        traffic: Traffic::default(),
        lost_before_verdict: 0,
        lost_after_verdict: 0,
        ports_received: Count::default(),
    };
    let worker = |index, polling| Worker { index, polling, ..Worker::default() };
    News::Polled(Box::new(Polled {
        at: Duration::from_secs(second),
        status,
        workers: vec![worker(0, true), worker(1, false)],
        asked,
        peers,
        degraded: PeersPage::default(),
    }))
}

/// A peer with so many packets by second, degraded or dark. Its inbound key is half over, and it has no other.
fn peer(isd: usize, packets: u64, is_dark: Option<bool>) -> Peer {
    let instant = |after_ms: i64| Timestamp::from_millisecond(START_MS.cast_signed() + after_ms).unwrap().to_string();
    let epoch = KeyEpoch { start: instant(2_000 - 50_000), end: instant(2_000 + 50_000) };
    let degraded = |is_dark| Degraded {
        reason: "the secret cannot be read".to_owned(),
        since: instant(0),
        attempts: 3,
        next_attempt_at: None,
        dark_at: Some(instant(2_000 + 300_000)),
        is_dark,
    };
    Peer {
        isd_as: format!("{isd}-ff00:0:110"),
        drkey_protocol: 3,
        name: None,
        prefixes: vec!["10.0.0.0/8".to_owned()],
        key_source: "shared_secret".to_owned(),
        encapsulation: "lf".to_owned(),
        accept: vec!["lf".to_owned()],
        traffic: Traffic {
            verdicts: [("accepted".to_owned(), Count { packets, bytes: 0 })].into(),
            ..Traffic::default()
        },
        keys: PeerKeys { inbound: Some(epoch), ..PeerKeys::default() },
        degraded: is_dark.map(degraded),
    }
}

const START_MS: u64 = 1_795_000_000_000;
