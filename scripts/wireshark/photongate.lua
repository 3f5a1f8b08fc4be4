-- Wireshark dissector for LF-over-IP (docs/protocol/lf.md), the LightningFilter header behind UDP, and for lf2
-- (docs/protocol/lf2.md), photongate's own, which has a UDP port of its own.
--
--     tshark -X lua_script:scripts/wireshark/photongate.lua -r capture.pcap
--     tshark -X lua_script:scripts/wireshark/photongate.lua -o photongate.port:40001 -r capture.pcap
--
-- For Wireshark itself, copy this file into the folder that Help > About > Folders calls "Personal Lua Plugins".
-- Nothing is verified here: that takes the keys. `photongate verify` does it.

local lf = Proto("photongate", "LightningFilter header (LF over IP)")

lf.prefs.port = Pref.uint("UDP port", 49149, "UDP destination port of authenticated packets (port in [lf] of filter.toml)")

lf.prefs.lf2_port = Pref.uint("UDP port of lf2", 49148, "UDP destination port of packets in lf2 (lf2_port in [lf] of filter.toml)")

local IP_PROTOCOLS = {
    [0] = "IPv6 hop-by-hop options", [1] = "ICMP", [6] = "TCP", [17] = "UDP", [43] = "IPv6 routing header",
    [44] = "IPv6 fragment", [47] = "GRE", [50] = "ESP", [51] = "AH", [58] = "ICMPv6", [60] = "IPv6 destination options",
    [132] = "SCTP",
}

local fields = {
    src_isd_as = ProtoField.string("photongate.src_isd_as", "Source ISD-AS", base.ASCII, "AS that the packet claims to come from"),
    drkey_protocol = ProtoField.uint16("photongate.drkey_protocol", "DRKey protocol", base.DEC_HEX),
    reserved = ProtoField.uint8("photongate.reserved", "Reserved", base.HEX, nil, nil, "0, or receivers drop the packet"),
    next_protocol = ProtoField.uint8("photongate.next_protocol", "Next protocol", base.DEC, IP_PROTOCOLS, nil, "IP protocol of the payload"),
    timestamp = ProtoField.uint64("photongate.timestamp", "Timestamp", base.DEC, nil, nil, "Nanoseconds since the DRKey epoch began"),
    hash = ProtoField.bytes("photongate.hash", "Payload hash", base.NONE, "SHA-1 of the payload"),
    mac = ProtoField.bytes("photongate.mac", "MAC", base.NONE, "AES-128-CBC-MAC under the host-to-host DRKey"),
    version = ProtoField.uint8("photongate.version", "Version", base.HEX, nil, nil, "0xf2 in lf2, or receivers drop the packet"),
    tag = ProtoField.bytes("photongate.tag", "Tag", base.NONE, "AES-128-CMAC of header and payload under the host-to-host DRKey of lf2"),
    payload_length = ProtoField.uint16("photongate.payload_length", "Payload length", base.DEC, nil, nil,
        "Bytes from here to the end of the UDP datagram"),
}
lf.fields = fields

local experts = {
    reserved = ProtoExpert.new("photongate.reserved.not_zero", "The reserved byte is not 0: receivers drop this packet",
        expert.group.PROTOCOL, expert.severity.WARN),
    version = ProtoExpert.new("photongate.version.unknown", "The version is not 0xf2: receivers drop this packet",
        expert.group.PROTOCOL, expert.severity.WARN),
    too_short = ProtoExpert.new("photongate.too_short", "Too short for a LightningFilter header: receivers drop this packet",
        expert.group.MALFORMED, expert.severity.ERROR),
}
lf.experts = experts

local HEADER_LENGTH = 56
local LF2_HEADER_LENGTH = 36
local LF2_VERSION = 0xf2
local ip_protocols = DissectorTable.get("ip.proto")
local udp_ports = DissectorTable.get("udp.port")

-- Eight bytes as operators write an ISD-AS: `1-64512` for an AS below 2^32, else `1-ff00:0:110`.
local function isd_as_text(bytes)
    local isd = bytes(0, 2):uint()
    local high, middle, low = bytes(2, 2):uint(), bytes(4, 2):uint(), bytes(6, 2):uint()
    if high == 0 then
        return string.format("%d-%d", isd, middle * 65536 + low)
    end
    return string.format("%d-%x:%x:%x", isd, high, middle, low)
end

-- Nanoseconds as seconds: `180698.061263013 s`.
local function seconds_text(nanoseconds)
    local billion = UInt64(1000000000)
    return string.format("%s.%09d s", tostring(nanoseconds / billion), (nanoseconds % billion):tonumber())
end

-- What is common to the end of both headers: `label` is LF or lf2.
local function hand_on(packet, info, root, label, header_length, isd_as, protocol)
    info.cols.info = string.format("IP protocol %d, %d bytes", protocol, packet:reported_len() - header_length)
    if packet:captured_len() > header_length then
        -- A malformed payload raises an error here. Wireshark has noted it by then; this header is still good.
        pcall(ip_protocols.try, ip_protocols, protocol, packet(header_length):tvb(), info, root)
    end
    info.cols.info:prepend("[" .. label .. " " .. isd_as .. "] ")
    return packet:captured_len()
end

local function dissect_lf2(packet, info, root)
    info.cols.protocol = "lf2"
    if packet:captured_len() < LF2_HEADER_LENGTH then
        local tree = root:add(lf, packet(), "lf2 header, cut short")
        if packet:reported_len() < LF2_HEADER_LENGTH then
            tree:add_proto_expert_info(experts.too_short)
        end
        return packet:captured_len()
    end

    local isd_as = isd_as_text(packet(4, 8))
    local tree = root:add(lf, packet(0, LF2_HEADER_LENGTH), "lf2 header, from " .. isd_as)
    local version = tree:add(fields.version, packet(0, 1))
    if packet(0, 1):uint() ~= LF2_VERSION then
        version:add_proto_expert_info(experts.version)
    end
    tree:add(fields.next_protocol, packet(1, 1))
    tree:add(fields.drkey_protocol, packet(2, 2))
    tree:add(fields.src_isd_as, packet(4, 8), isd_as)
    tree:add(fields.timestamp, packet(12, 8)):append_text(" ns (" .. seconds_text(packet(12, 8):uint64()) .. ")")
    tree:add(fields.tag, packet(20, 16))
    tree:add(fields.payload_length, packet:reported_len() - LF2_HEADER_LENGTH):set_generated()
    return hand_on(packet, info, root, "lf2", LF2_HEADER_LENGTH, isd_as, packet(1, 1):uint())
end

function lf.dissector(packet, info, root)
    if lf.prefs.lf2_port > 0 and info.dst_port == lf.prefs.lf2_port then
        return dissect_lf2(packet, info, root)
    end
    info.cols.protocol = "LF"
    if packet:captured_len() < HEADER_LENGTH then
        local tree = root:add(lf, packet(), "LightningFilter header, cut short")
        if packet:reported_len() < HEADER_LENGTH then
            tree:add_proto_expert_info(experts.too_short)
        end
        return packet:captured_len()
    end

    local isd_as = isd_as_text(packet(0, 8))
    local protocol = packet(11, 1):uint()
    local payload_length = packet:reported_len() - HEADER_LENGTH

    local tree = root:add(lf, packet(0, HEADER_LENGTH), "LightningFilter header, from " .. isd_as)
    tree:add(fields.src_isd_as, packet(0, 8), isd_as)
    tree:add(fields.drkey_protocol, packet(8, 2))
    local reserved = tree:add(fields.reserved, packet(10, 1))
    if packet(10, 1):uint() ~= 0 then
        reserved:add_proto_expert_info(experts.reserved)
    end
    tree:add(fields.next_protocol, packet(11, 1))
    tree:add(fields.timestamp, packet(12, 8)):append_text(" ns (" .. seconds_text(packet(12, 8):uint64()) .. ")")
    tree:add(fields.hash, packet(20, 20))
    tree:add(fields.mac, packet(40, 16))
    tree:add(fields.payload_length, payload_length):set_generated()
    return hand_on(packet, info, root, "LF", HEADER_LENGTH, isd_as, protocol)
end

local registered_ports = {}

-- Claims the UDP ports that are configured. Port 0 stands for none.
local function register()
    for _, port in ipairs(registered_ports) do
        udp_ports:remove(port, lf)
    end
    registered_ports = {}
    for _, port in ipairs({ lf.prefs.port, lf.prefs.lf2_port }) do
        if port > 0 then
            udp_ports:add(port, lf)
            table.insert(registered_ports, port)
        end
    end
end

lf.prefs_changed = register
register()
