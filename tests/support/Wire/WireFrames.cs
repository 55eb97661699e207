namespace IommuFd.TestSupport;

/// <summary>The frames that clients send, written as docs/protocol.md says.</summary>
public static class WireFrames
{
    public const uint Magic = 0x464D4F49;

    public const byte Calls = 1, Descriptor = 2;

    public static byte[] Hello(byte role, ulong program = 1, string name = "test", ushort lowest = 1, ushort highest = 1, uint tag = 1, uint process = 0, string token = "")
        => HelloBody(role, program, name, lowest, highest, process, token).Frame(0x01, tag);

    public static WireBytes HelloBody(byte role, ulong program = 1, string name = "test", ushort lowest = 1, ushort highest = 1, uint process = 0, string token = "")
        => new WireBytes().U32(Magic).U16(lowest, highest).U8(role).Zeros(3).U32(process).U64(program).U16((ushort)name.Length, (ushort)token.Length).Zeros(4).Text(name).Text(token);

    /// <summary>A context's handle for another identity.</summary>
    public static byte[] Grant(uint tag, byte[] handle, string identity) => new WireBytes().U8(handle).U16((ushort)identity.Length).Zeros(6).Text(identity).Frame(0x33, tag);

    public static byte[] Open(byte mode = 0, uint tag = 2) => new WireBytes().U8(mode).Zeros(7).Frame(0x02, tag);

    public static byte[] Claim(byte[] claim, uint tag = 2) => new WireBytes().U8(claim).Frame(0x03, tag);

    public static byte[] Resume(byte[] resumption, uint tag = 2) => new WireBytes().U8(resumption).Frame(0x06, tag);

    public static byte[] Prove(byte[] nonce) => new WireBytes().U8(nonce).Frame(0x04, 0);

    public static byte[] Pad(int zeros) => new WireBytes().Zeros(zeros).Frame(0x05, 0);

    /// <summary>An ioctl whose argument has the size that its first field says.</summary>
    public static byte[] Ioctl(uint tag, byte[] ticket, uint command, byte[] argument, byte flags = 0) => IoctlBody(ticket, command, argument, flags: flags).Frame(0x10, tag);

    /// <summary>An ioctl's body up to its argument; what is counted here is to follow.</summary>
    public static WireBytes IoctlBody(byte[] ticket, uint command, byte[] argument, byte tail = 0, byte buffers = 0, byte file = 0, byte flags = 0)
        => new WireBytes().U8(ticket).Zeros(24).U32(command, (uint)argument.Length).U8(tail, buffers, file, flags).U32((uint)argument.Length).U8(argument);

    /// <summary>A buffer that a command maps or names: no content travels.</summary>
    public static WireBytes Probed(this WireBytes body, byte index, ulong address, ulong length)
        => body.U8(index, 0).U16(0).U32(0).U64(address, length, length, length, 0, 0);

    public static byte[] Read(uint tag, byte[] ticket, ulong count) => new WireBytes().U8(ticket).Zeros(24).U64(count).Zeros(4).U32((uint)count).Frame(0x11, tag);

    public static byte[] Write(uint tag, byte[] ticket, byte[] content)
        => new WireBytes().U8(ticket).Zeros(24).U64((ulong)content.Length).Zeros(4).U32((uint)content.Length).U8(content).Frame(0x12, tag);

    public static byte[] Took(byte[] ticket, uint marks = 1) => new WireBytes().U8(ticket).U32(marks).Zeros(4).Frame(0x13, 0);

    public static byte[] Resolve(uint tag, byte[] nonce) => new WireBytes().U8(nonce).Frame(0x14, tag);

    public static byte[] Closed(uint tag, byte[] ticket) => new WireBytes().U8(ticket).Frame(0x15, tag);

    public static byte[] Discard(uint tag, byte[] claim) => new WireBytes().U8(claim).Frame(0x16, tag);

    public static byte[] Pinned(uint tag, uint process = 0) => new WireBytes().U32(process).Zeros(4).Frame(0x17, tag);

    /// <summary>The answer to LOOK: all pieces are there.</summary>
    public static byte[] Looked(uint tag, uint pieces) => new WireBytes().U8(1).Zeros(3).U32(pieces).U64(0).Frame(0xA0, tag);

    /// <summary>Names an ioctl, a read or a write that was made without a name.</summary>
    public static byte[] Named(byte[] request, ulong lane, ulong sequence, ulong settled = 0, bool isRepeat = false)
    {
        const int Names = 12 + 16, Flags = Names + 24 + 8 + 3;
        new WireBytes().U64(lane, sequence, settled).ToArray().CopyTo(request, Names);
        request[Flags] |= (byte)(isRepeat ? 2 : 0);
        return request;
    }

    public static byte[] Destroy(uint tag, byte[] ticket, uint id) => Ioctl(tag, ticket, 0x3B80, new WireBytes().U32(8, id).ToArray());

    public static byte[] IoasAlloc(uint tag, byte[] ticket) => Ioctl(tag, ticket, 0x3B81, new WireBytes().U32(12, 0, 0).ToArray());

    /// <summary>Maps pages at an IOVA, readable and writeable.</summary>
    public static byte[] IoasMap(uint tag, byte[] ticket, uint ioas, ulong address, ulong length, ulong iova)
        => IoctlBody(ticket, 0x3B85, new WireBytes().U32(40, 7, ioas, 0).U64(address, length, iova).ToArray(), buffers: 1).Probed(0, address, length).Frame(0x10, tag);

    public static byte[] IoasUnmap(uint tag, byte[] ticket, uint ioas, ulong iova, ulong length)
        => Ioctl(tag, ticket, 0x3B86, new WireBytes().U32(24, ioas).U64(iova, length).ToArray());

    /// <summary>A selftest's request: an op on an id, with fields from offset 16 on.</summary>
    public static byte[] Test(uint tag, byte[] ticket, uint op, uint id, params ReadOnlySpan<uint> fields)
        => Ioctl(tag, ticket, 0x3BA0, new WireBytes().U32(72, op, id, 0).U32(fields).Zeros(56 - (4 * fields.Length)).ToArray());
}
