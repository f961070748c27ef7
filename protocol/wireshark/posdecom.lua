-- posdecom's line for Wireshark 4.0 and newer: the link's frames (USER0) and the messages of a channel (USER1).
--
--     wireshark -X lua_script:posdecom.lua capture.pcapng
--     tshark    -X lua_script:posdecom.lua -r capture.pcapng -Y posdecom.crc.bad
--
-- Captures are made by `posdecom ... --capture FILE`. Layouts: docs/link.md (frames), docs/protocol.md (messages).

local link = Proto("posdecom", "posdecom link")
local messages = Proto("posdecom_message", "posdecom message")

local KINDS = { [1] = "HELLO", [2] = "WELCOME", [3] = "DATA", [4] = "ACK", [5] = "CLOSE", [6] = "TEST", [7] = "SPEED" }
local SERVICES = { [0] = "IDENTIFY", [1] = "CHANNEL", [2] = "PROOFS", [3] = "SALVAGE" }
local STATES = {
    [1] = "ACTIVE", [2] = "FROZEN", [3] = "SETTLED", [4] = "EXCEPTED",
    [5] = "ERASING", [6] = "ERASED", [7] = "RETIRED", [8] = "BLANK",
}
local CHECKS = { [0] = "bad", [1] = "good", [2] = "not all of it" }
local CLOSES = { [0] = "request", [1] = "confirmation" }

local HELLO, WELCOME, DATA, ACK, CLOSE = 1, 2, 3, 4, 5
local HEADER_BYTES, CHECK_BYTES = 8, 4

local f = {
    kind = ProtoField.uint8("posdecom.kind", "Kind", base.DEC, KINDS),
    length = ProtoField.uint16("posdecom.length", "Body length"),
    number = ProtoField.uint16("posdecom.number", "Number"),
    offset = ProtoField.uint16("posdecom.offset", "Stream offset"),
    header_check = ProtoField.uint8("posdecom.header_check", "Header check", base.HEX),
    body = ProtoField.bytes("posdecom.body", "Body"),
    crc = ProtoField.uint32("posdecom.crc", "CRC-32", base.HEX),
    crc_status = ProtoField.uint8("posdecom.crc.status", "CRC status", base.DEC, CHECKS),
    noise = ProtoField.bytes("posdecom.noise", "Noise"),
    magic = ProtoField.string("posdecom.magic", "Magic"),
    version_min = ProtoField.uint8("posdecom.version.lowest", "Lowest version"),
    version_max = ProtoField.uint8("posdecom.version.highest", "Highest version"),
    version = ProtoField.uint8("posdecom.version", "Version"),
    connection_id = ProtoField.uint32("posdecom.connection_id", "Connection id", base.HEX),
    service = ProtoField.uint8("posdecom.service", "Service", base.DEC, SERVICES),
    body_max = ProtoField.uint16("posdecom.largest_body", "Largest frame body"),
    window = ProtoField.uint16("posdecom.window", "Receive window"),
    features = ProtoField.uint16("posdecom.features", "Features", base.HEX),
    state = ProtoField.uint8("posdecom.state", "Lifecycle state", base.DEC, STATES),
    tampered = ProtoField.bool("posdecom.tampered", "Tampered"),
    manufacturer = ProtoField.string("posdecom.manufacturer", "Manufacturer"),
    model = ProtoField.string("posdecom.model", "Model"),
    serial = ProtoField.string("posdecom.serial", "Serial"),
    next_offset = ProtoField.uint32("posdecom.ack.next_offset", "Next offset"),
    ack_window = ProtoField.uint16("posdecom.ack.window", "Window"),
    highest = ProtoField.uint16("posdecom.ack.highest", "Highest number seen"),
    missing = ProtoField.bytes("posdecom.ack.missing", "Missing numbers"),
    close = ProtoField.uint8("posdecom.close", "Close", base.DEC, CLOSES),
}
link.fields = {}
for _, field in pairs(f) do table.insert(link.fields, field) end

local bad_crc = ProtoExpert.new("posdecom.crc.bad", "CRC does not fit", expert.group.CHECKSUM, expert.severity.ERROR)
local is_noise = ProtoExpert.new("posdecom.noise.expert", "No frame", expert.group.MALFORMED, expert.severity.WARN)
local missing = ProtoExpert.new("posdecom.ack.gap", "Frames are missing", expert.group.SEQUENCE, expert.severity.NOTE)
link.experts = { bad_crc, is_noise, missing }

-- checks ------------------------------------------------------------------------------------------------------------

local function crc8(range)                     -- CRC-8/AUTOSAR
    local register = 0xFF
    for at = 0, range:len() - 1 do
        register = bit.bxor(register, range(at, 1):uint())
        for _ = 1, 8 do
            local high = bit.band(register, 0x80) ~= 0
            register = bit.band(bit.lshift(register, 1), 0xFF)
            if high then register = bit.bxor(register, 0x2F) end
        end
    end
    return bit.bxor(register, 0xFF)
end

local CRC32 = {}
for value = 0, 255 do
    local register = value
    for _ = 1, 8 do
        local low = bit.band(register, 1) ~= 0
        register = bit.rshift(register, 1)
        if low then register = bit.bxor(register, 0xEDB88320) end
    end
    CRC32[value] = register
end

local function crc32(bytes, seed)              -- as zlib's crc32(data, seed)
    local register = bit.bnot(seed)
    for at = 0, bytes:len() - 1 do
        register = bit.bxor(bit.rshift(register, 8), CRC32[bit.band(bit.bxor(register, bytes:get_index(at)), 0xFF)])
    end
    return bit.bnot(register)
end

-- the connection that a frame belongs to ----------------------------------------------------------------------------

local greetings = {}                           -- { packet number, connection id }, in order

function link.init() greetings = {} end

local function remember(number, id)
    local last = greetings[#greetings]
    if last == nil or last[1] < number then table.insert(greetings, { number, id }) end
end

local function connection_at(number)
    local id = 0
    for _, greeting in ipairs(greetings) do
        if greeting[1] <= number then id = greeting[2] end
    end
    return id
end

-- bodies ------------------------------------------------------------------------------------------------------------

local function add_name(tree, field, body, at)
    local length = body(at, 1):uint()
    tree:add(field, body(at + 1, length))
    return at + 1 + length
end

local bodies = {}

bodies[HELLO] = function(body, tree, info)
    tree:add(f.magic, body(0, 4))
    tree:add(f.version_min, body(4, 1))
    tree:add(f.version_max, body(5, 1))
    tree:add(f.connection_id, body(6, 4))
    tree:add(f.service, body(10, 1))
    tree:add(f.body_max, body(11, 2))
    tree:add(f.window, body(13, 2))
    return SERVICES[body(10, 1):uint()] or "?"
end

bodies[WELCOME] = function(body, tree, info)
    tree:add(f.magic, body(0, 4))
    tree:add(f.version, body(4, 1))
    tree:add(f.connection_id, body(5, 4))
    tree:add(f.body_max, body(9, 2))
    tree:add(f.window, body(11, 2))
    tree:add(f.features, body(13, 2))
    tree:add(f.state, body(15, 1))
    tree:add(f.tampered, body(16, 1))
    local at = add_name(tree, f.manufacturer, body, 17)
    at = add_name(tree, f.model, body, at)
    local serial = body(at + 1, body(at, 1):uint())
    add_name(tree, f.serial, body, at)
    local tampered = body(16, 1):uint() == 1 and ", TAMPERED" or ""
    return serial:string() .. ", " .. (STATES[body(15, 1):uint()] or "?") .. tampered
end

bodies[ACK] = function(body, tree, info)
    tree:add(f.next_offset, body(0, 4))
    tree:add(f.ack_window, body(4, 2))
    tree:add(f.highest, body(6, 2))
    if body:len() > 8 then
        tree:add(f.missing, body(8))
        tree:add_proto_expert_info(missing)
    end
    return "next " .. body(0, 4):uint() .. (body:len() > 8 and ", with gaps" or "")
end

bodies[CLOSE] = function(body, tree, info)
    tree:add(f.close, body(0, 1))
    return CLOSES[body(0, 1):uint()] or "?"
end

local LEAST = { [HELLO] = 15, [WELCOME] = 20, [ACK] = 8, [CLOSE] = 1 }

-- frames ------------------------------------------------------------------------------------------------------------

local function is_header(buffer)
    if buffer:len() < HEADER_BYTES or buffer(0, 1):uint() ~= 0xA7 then return false end
    return KINDS[bit.rshift(buffer(1, 1):uint(), 4)] ~= nil and crc8(buffer(0, 7)) == buffer(7, 1):uint()
end

local function check(buffer, kind, length, number)
    local covered = HEADER_BYTES + length
    if buffer:len() < covered + CHECK_BYTES then return 2 end
    local bytes = buffer(0, covered):bytes()
    if kind == HELLO and length >= LEAST[HELLO] and crc32(bytes, 0) == bit.tobit(buffer(covered, 4):uint()) then
        remember(number, buffer(HEADER_BYTES + 6, 4):uint())
    end
    local seed = (kind == HELLO or kind == WELCOME) and 0 or connection_at(number)
    return crc32(bytes, seed) == bit.tobit(buffer(covered, 4):uint()) and 1 or 0
end

local function dissect_noise(buffer, info, root)
    local tree = root:add(link, buffer(), "posdecom link, " .. buffer:len() .. " bytes that are no frame")
    tree:add(f.noise, buffer())
    tree:add_proto_expert_info(is_noise)
    info.cols.info = "noise, " .. buffer:len() .. " bytes"
end

function link.dissector(buffer, info, root)
    info.cols.protocol = "posdecom"
    if not is_header(buffer) then return dissect_noise(buffer, info, root) end
    local head = buffer(1, 2):uint()
    local kind, length = bit.rshift(head, 12), bit.band(head, 0xFFF)
    local status = check(buffer, kind, length, info.number)
    local tree = root:add(link, buffer(), "posdecom link, " .. KINDS[kind])
    tree:add(f.kind, buffer(1, 1), kind)
    tree:add(f.length, buffer(1, 2), length)
    tree:add(f.number, buffer(3, 2))
    tree:add(f.offset, buffer(5, 2))
    tree:add(f.header_check, buffer(7, 1))
    local says = length .. " bytes"
    if status == 1 and length > 0 then
        local body = buffer(HEADER_BYTES, length)
        local branch = tree:add(f.body, body)
        if bodies[kind] and length >= LEAST[kind] then says = bodies[kind](body, branch, info) end
    end
    if status ~= 2 then tree:add(f.crc, buffer(HEADER_BYTES + length, CHECK_BYTES)) end
    tree:add(f.crc_status, buffer(0, 1), status)
    if status ~= 1 then tree:add_proto_expert_info(bad_crc) end
    info.cols.info = KINDS[kind] .. " " .. says .. (status ~= 1 and " [damaged]" or "")
end

-- messages ----------------------------------------------------------------------------------------------------------

local TYPES = {
    [0x01] = "GetInventory", [0x02] = "OfferOrder", [0x03] = "ReadItems", [0x04] = "OfferRelease",
    [0x05] = "StartErase", [0x06] = "OfferCancellation", [0x07] = "GetProof", [0x08] = "ReadPacked",
    [0x09] = "ReadSalvage",
    [0x81] = "Confirmed", [0x82] = "Inventory", [0x83] = "Sealed", [0x84] = "Items", [0x85] = "Released",
    [0x86] = "Erasing", [0x87] = "Thawed", [0x88] = "Proof", [0x89] = "Refused", [0x8A] = "PackedItems",
    [0x8B] = "Salvaged",
}
local REFUSALS = {
    "ISSUER_CHAIN", "ROLE", "SIGNATURES", "TYPE_AND_VERSION", "TERMINAL", "ORDER", "SEAL", "CHALLENGE", "ACTION", "STATE",
    "ORDER_STALE", "ORDER_NOT_VALID_NOW", "ORDER_ACCOUNTS", "CLOCK_IMPLAUSIBLE", "NOT_FOUND", "BUSY", "TAMPERED", "TOO_MUCH",
    "NO_ROOM", "NO_KEYS",
}

local m = {
    type = ProtoField.uint8("posdecom_message.type", "Type", base.HEX, TYPES),
    length = ProtoField.uint24("posdecom_message.length", "Length"),
    first = ProtoField.uint32("posdecom_message.first", "First item"),
    count = ProtoField.uint32("posdecom_message.count", "Items"),
    state = ProtoField.uint8("posdecom_message.state", "Lifecycle state", base.DEC, STATES),
    reason = ProtoField.uint8("posdecom_message.reason", "Reason", base.DEC, REFUSALS),
    body = ProtoField.bytes("posdecom_message.body", "Body (contents left out)"),
}
messages.fields = {}
for _, field in pairs(m) do table.insert(messages.fields, field) end

local function asks_for_items(body, tree)
    tree:add(m.first, body(0, 4))
    tree:add(m.count, body(4, 4))
    return body(4, 4):uint() .. " from " .. body(0, 4):uint()
end

local function brings_items(body, tree)
    tree:add(m.first, body(0, 4))
    tree:add(m.count, body(4, 2))
    return body(4, 2):uint() .. " from " .. body(0, 4):uint()
end

local function has_state(body, tree)
    tree:add(m.state, body(0, 1))
    return STATES[body(0, 1):uint()] or "?"
end

local contents = {
    [0x03] = { 8, asks_for_items }, [0x08] = { 8, asks_for_items },
    [0x84] = { 6, brings_items }, [0x8A] = { 6, brings_items },
    [0x81] = { 1, has_state }, [0x82] = { 1, has_state }, [0x85] = { 1, has_state },
    [0x89] = { 1, function(body, tree)
        tree:add(m.reason, body(0, 1))
        return REFUSALS[body(0, 1):uint()] or "?"
    end },
}

function messages.dissector(buffer, info, root)
    info.cols.protocol = "posdecom message"
    if buffer:len() < 4 then return 0 end
    local kind = buffer(0, 1):uint()
    local tree = root:add(messages, buffer(), "posdecom message, " .. (TYPES[kind] or "unknown"))
    tree:add(m.type, buffer(0, 1))
    tree:add(m.length, buffer(1, 3))
    local says = ""
    if buffer:len() > 4 then
        local body = buffer(4)
        local branch = tree:add(m.body, body)
        local known = contents[kind]
        if known and body:len() >= known[1] then says = " " .. known[2](body, branch) end
    end
    info.cols.info = (TYPES[kind] or "unknown message") .. says
end

local encapsulations = DissectorTable.get("wtap_encap")
encapsulations:add(wtap.USER0, link)
encapsulations:add(wtap.USER1, messages)
