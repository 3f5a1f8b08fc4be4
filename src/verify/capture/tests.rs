use super::*;

const FRAME: &[u8] = &[0xff; 61];
const LATE: UnixNanos = UnixNanos(1_795_230_000_123_456_789);

fn read(file: &[u8]) -> Result<Vec<Record>> {
    let mut capture = Capture::read_from(Box::new(Cursor::new(file.to_vec())))?;
    let mut records = Vec::new();
    while let Some(record) = capture.next_record()? {
        records.push(record);
    }
    Ok(records)
}

fn message(file: &[u8]) -> String {
    format!("{:#}", read(file).expect_err("the file is broken"))
}

#[derive(Clone, Copy)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn words(self, words: &[u32]) -> Vec<u8> {
        let bytes = |word: &u32| match self {
            Self::Big => word.to_be_bytes(),
            Self::Little => word.to_le_bytes(),
        };
        words.iter().flat_map(bytes).collect()
    }

    fn half_words(self, halves: [u16; 2]) -> Vec<u8> {
        match self {
            Self::Big => halves.iter().flat_map(|half| half.to_be_bytes()).collect(),
            Self::Little => halves.iter().flat_map(|half| half.to_le_bytes()).collect(),
        }
    }
}

fn pcap(order: Order, magic: u32, link_type: u32, packets: &[(u32, u32, &[u8], u32)]) -> Vec<u8> {
    let mut file = order.words(&[magic]);
    file.extend(order.half_words([2, 4]));
    file.extend(order.words(&[0, 0, 64, link_type]));
    for (seconds, fraction, data, original_len) in packets {
        file.extend(order.words(&[*seconds, *fraction, data.len() as u32, *original_len]));
        file.extend_from_slice(data);
    }
    file
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(4), 0);
    let len = padded.len() as u32 + 12;
    [order.words(&[kind, len]), padded, order.words(&[len])].concat()
}

fn section(order: Order) -> Vec<u8> {
    let body = [order.words(&[0x1a2b_3c4d]), order.half_words([1, 0]), vec![0xff; 8]].concat();
    block(order, 0x0a0d_0d0a, &body)
}

fn interface(order: Order, link_type: u16, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = [order.half_words([link_type, 0]), order.words(&[60])].concat();
    for (code, value) in options {
        body.extend(order.half_words([*code, value.len() as u16]));
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    if !options.is_empty() {
        body.extend([0; 4]);
    }
    block(order, 1, &body)
}

fn enhanced_packet(order: Order, interface: u32, ticks: u64, data: &[u8], original_len: u32) -> Vec<u8> {
    let head = order.words(&[interface, (ticks >> 32) as u32, ticks as u32, data.len() as u32, original_len]);
    block(order, 6, &[&head, data].concat())
}

#[test]
fn pcap_is_read_in_both_byte_orders_and_resolutions() {
    for order in [Order::Big, Order::Little] {
        for (magic, fraction) in [(0xa1b2_c3d4, 123_456), (0xa1b2_3c4d, 123_456_000)] {
            let records = read(&pcap(order, magic, 1, &[(1_795_230_000, fraction, FRAME, 61)])).unwrap();
            let time = Some(UnixNanos(1_795_230_000_123_456_000));
            assert_eq!(records, [Record { number: 1, time, data: FRAME.to_vec(), original_len: 61 }]);
        }
    }
}

#[test]
fn pcapng_is_read_in_both_byte_orders_with_the_clock_of_each_interface() {
    for order in [Order::Big, Order::Little] {
        let minus_one = match order {
            Order::Big => (-1_i64).to_be_bytes(),
            Order::Little => (-1_i64).to_le_bytes(),
        };
        let file = [
            section(order),
            interface(order, 1, &[]),
            interface(order, 1, &[(9, &[9])]),
            interface(order, 1, &[(9, &[0x80 | 10])]),
            interface(order, 1, &[(9, &[9]), (14, &minus_one)]),
            enhanced_packet(order, 0, LATE.0 / 1_000, FRAME, 61),
            enhanced_packet(order, 1, LATE.0, FRAME, 61),
            enhanced_packet(order, 2, 512 + 1024, FRAME, 61),
            enhanced_packet(order, 3, LATE.0, FRAME, 61),
        ];
        let times: Vec<_> = read(&file.concat()).unwrap().into_iter().map(|record| record.time.unwrap().0).collect();
        assert_eq!(times, [LATE.0 / 1_000 * 1_000, LATE.0, 1_500_000_000, LATE.0 - 1_000_000_000]);
    }
}

#[test]
fn the_interfaces_of_a_new_section_take_the_place_of_the_old() {
    let file = [
        section(Order::Little),
        interface(Order::Little, 1, &[]),
        enhanced_packet(Order::Little, 0, 1, FRAME, 61),
        section(Order::Big),
        interface(Order::Big, 1, &[(9, &[9])]),
        enhanced_packet(Order::Big, 0, 1, FRAME, 61),
    ];
    let times: Vec<_> = read(&file.concat()).unwrap().into_iter().map(|record| record.time.unwrap().0).collect();
    assert_eq!(times, [1_000, 1]);
}

#[test]
fn older_kinds_of_packet_blocks_are_read_and_other_blocks_passed_over() {
    let order = Order::Little;
    let obsolete = [order.half_words([0, 0]), order.words(&[1, 2, 61, 61]), FRAME.to_vec()].concat();
    let simple = [order.words(&[61]), FRAME.to_vec()].concat();
    let file = [
        section(order),
        interface(order, 1, &[(9, &[9])]),
        block(order, 4, &[0; 8]),
        block(order, 2, &obsolete),
        block(order, 3, &simple),
    ];
    let records = read(&file.concat()).unwrap();
    assert_eq!(records[0].time, Some(UnixNanos((1 << 32) + 2)));
    assert_eq!(records[1].time, None);
    assert_eq!((records[1].data.len(), records[1].original_len, records[1].number), (60, 61, 2));
}

#[test]
fn a_packet_that_was_cut_says_how_long_it_was() {
    let records = read(&pcap(Order::Little, 0xa1b2_c3d4, 1, &[(1, 0, FRAME, 1_500), (2, 0, FRAME, 3)])).unwrap();
    assert!(records[0].is_cut());
    assert_eq!(records[0].original_len, 1_500);
    assert!(!records[1].is_cut(), "shorter than itself no packet ever was");
}

#[test]
fn another_link_type_is_named() {
    let expected = "was captured with link type LINUX_SLL (113), not Ethernet: capture on one interface, not on `any`";
    assert_eq!(message(&pcap(Order::Big, 0xa1b2_c3d4, 113, &[])), expected);
    let file = [
        section(Order::Big),
        interface(Order::Big, 1, &[]),
        interface(Order::Big, 113, &[]),
        enhanced_packet(Order::Big, 0, 1, FRAME, 61),
        enhanced_packet(Order::Big, 1, 1, FRAME, 61),
    ];
    assert_eq!(message(&file.concat()), format!("record 2: {expected}"));
}

#[test]
fn a_checksum_behind_the_frames_is_no_other_link_type() {
    assert!(read(&pcap(Order::Big, 0xa1b2_c3d4, 0x2400_0001, &[])).is_ok());
}

#[test]
fn a_broken_file_is_refused_with_the_number_of_the_record() {
    let whole = pcap(Order::Little, 0xa1b2_c3d4, 1, &[(1, 0, FRAME, 61), (2, 0, FRAME, 61)]);
    let cut = &whole[..whole.len() - 1];
    assert_eq!(message(cut), "record 2: it is cut off: the file ends early, or a length in it is wrong");
    let mut capture = Capture::read_from(Box::new(Cursor::new(cut.to_vec()))).unwrap();
    assert_eq!(capture.next_record().unwrap().unwrap().number, 1, "what comes before is still read");

    let mut too_long = whole;
    too_long.splice(24 + 16 + 61 + 8..24 + 16 + 61 + 12, 300_000_u32.to_le_bytes());
    too_long.resize(400_000, 0);
    assert_eq!(message(&too_long), "record 2: is broken: it claims to hold a packet of 300000 bytes");

    let file = [section(Order::Big), enhanced_packet(Order::Big, 5, 1, FRAME, 61)];
    assert_eq!(message(&file.concat()), "record 1: names interface 5, which the file does not describe");

    let lying = block(Order::Big, 6, &Order::Big.words(&[0, 0, 0, 61, 61]));
    let file = [section(Order::Big), interface(Order::Big, 1, &[]), lying];
    assert_eq!(message(&file.concat()), "record 1: is broken: it is shorter than what it claims to hold");
}

#[test]
fn what_is_no_capture_is_refused() {
    assert_eq!(message(b"# just some text, nothing to be seen here"), "is neither pcap nor pcapng");
    assert_eq!(message(b""), "the file header is cut off: the file ends early, or a length in it is wrong");
    assert!(message(&section(Order::Big)[..20]).starts_with("the first section is cut off"));
}

#[test]
fn a_clock_with_an_absurd_resolution_is_refused() {
    for resolution in [127, 39] {
        let file = [
            section(Order::Big),
            interface(Order::Big, 1, &[(9, &[resolution])]),
            enhanced_packet(Order::Big, 0, 1, FRAME, 61),
        ];
        assert_eq!(message(&file.concat()), "record 1: has a time before 1970 or after 2554");
    }
}
