-- Wireshark dissector for LF-over-IP (docs/protocol/lf.md): the LightningFilter header behind UDP.
--
--     tshark -X lua_script:scripts/wireshark/photongate.lua -r capture.pcap
--     tshark -X lua_script:scripts/wireshark/photongate.lua -o photongate.port:40001 -r capture.pcap
--
-- For Wireshark itself, copy this file into the folder that Help > About > Folders calls "Personal Lua Plugins".
-- Nothing is verified here: that takes the keys. `photongate verify` does it.

local lf = Proto("photongate", "LightningFilter header (LF over IP)")

lf.prefs.port = Pref.uint("UDP port", 49149, "UDP destination port of authenticated packets (port in [lf] of filter.toml)")

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
    payload_length = ProtoField.uint16("photongate.payload_length", "Payload length", base.DEC, nil, nil,
        "Bytes from here to the end of the UDP datagram"),
}
lf.fields = fields

local experts = {
    reserved = ProtoExpert.new("photongate.reserved.not_zero", "The reserved byte is not 0: receivers drop this packet",
        expert.group.PROTOCOL, expert.severity.WARN),
    too_short = ProtoExpert.new("photongate.too_short", "Too short for a LightningFilter header: receivers drop this packet",
        expert.group.MALFORMED, expert.severity.ERROR),
}
lf.experts = experts

local HEADER_LENGTH = 56
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

function lf.dissector(packet, info, root)
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

    info.cols.info = string.format("IP protocol %d, %d bytes", protocol, payload_length)
    if packet:captured_len() > HEADER_LENGTH then
        -- A malformed payload raises an error here. Wireshark has noted it by then; this header is still good.
        pcall(ip_protocols.try, ip_protocols, protocol, packet(HEADER_LENGTH):tvb(), info, root)
    end
    info.cols.info:prepend("[LF " .. isd_as .. "] ")
    return packet:captured_len()
end

local registered_port

-- Claims the UDP port that is configured. Port 0 stands for none.
local function register()
    if registered_port then
        udp_ports:remove(registered_port, lf)
    end
    registered_port = lf.prefs.port > 0 and lf.prefs.port or nil
    if registered_port then
        udp_ports:add(registered_port, lf)
    end
end

lf.prefs_changed = register
register()
