using System.Buffers.Binary;

namespace IommuFd.TestSupport;

/// <summary>Makes what a program might say, and then spoils some of it. All choices are the seed's.</summary>
internal sealed class FrameMutator(Random random, byte[] ticket, byte[] claim, string token = "")
{
    private static readonly uint[] Edges = [0, 1, 2, 7, 8, 16, 255, 256, 4095, 4096, 4097, 65535, 65536, 1 << 20, (1 << 20) + 1, 4 << 20, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF];

    private static readonly string[] Messages =
        ["{}", "{", "null", "[]", "{\"Mode\":1,\"Name\":\"x\"}", "{\"Reference\":{\"Value\":1}}", "{\"References\":[]}", "{\"After\":{\"Value\":1},\"Limit\":1,\"WithState\":true}", new string('[', 300)];

    private uint _tag;

    /// <summary>What a program says on a connection for calls.</summary>
    public List<byte[]> Calls()
    {
        List<byte[]> frames = [WireFrames.Hello(WireFrames.Calls, token: token)];
        for (var left = random.Next(1, 24); left > 0; left--)
        {
            frames.Add(Call(++_tag));
        }

        return frames;
    }

    /// <summary>What a program says on a descriptor.</summary>
    public List<byte[]> Descriptor()
    {
        List<byte[]> frames = [WireFrames.Hello(WireFrames.Descriptor), random.Next(3) == 0 ? WireFrames.Claim(claim) : WireFrames.Open((byte)random.Next(2))];
        for (var left = random.Next(4); left > 0; left--)
        {
            frames.Add(random.Next(3) == 0 ? WireFrames.Pad(random.Next(65537)) : WireFrames.Prove(Name()));
        }

        return frames;
    }

    /// <summary>Spoils some of it: nothing, a bit, a byte, a length, a count, the order, an end.</summary>
    public byte[][] Mutate(List<byte[]> frames)
    {
        for (var left = random.Next(4); left > 0; left--)
        {
            // HELLO is mostly spared, or nothing behind it is ever looked at.
            var at = random.Next(random.Next(8) == 0 ? 0 : 1, frames.Count);
            var frame = frames[at];
            switch (random.Next(9))
            {
                case 0:
                    frame[random.Next(frame.Length)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    frame[random.Next(frame.Length)] = (byte)random.Next(256);
                    break;
                case 2:
                    Put(frame, random.Next(frame.Length), Edges[random.Next(Edges.Length)]);
                    break;
                case 3:
                    // The length, kind or tag of the header.
                    Put(frame, Math.Min(random.Next(3) * sizeof(uint), frame.Length - 1), random.Next(2) == 0 ? Edges[random.Next(Edges.Length)] : (uint)random.Next(64));
                    break;
                case 4:
                    frames[at] = frame[..random.Next(1, frame.Length)];
                    break;
                case 5:
                    // Cut or grown, with a header that says so.
                    if (frame.Length >= 12)
                    {
                        var body = random.Next(2) == 0 ? frame.AsSpan(12, random.Next(frame.Length - 11)) : [.. frame.AsSpan(12), .. new byte[random.Next(64)]];
                        frames[at] = new WireBytes().U8(body).Frame(frame[4], BinaryPrimitives.ReadUInt32LittleEndian(frame.AsSpan(8)));
                    }

                    break;
                case 6:
                    frames.Insert(random.Next(frames.Count), [.. frame]);
                    break;
                case 7:
                    // The start of one frame and the end of another.
                    var other = frames[random.Next(frames.Count)];
                    frames[at] = [.. frame.AsSpan(0, random.Next(1, frame.Length)), .. other.AsSpan(random.Next(other.Length))];
                    break;
                default:
                    var swapped = random.Next(frames.Count);
                    (frames[at], frames[swapped]) = (frames[swapped], frames[at]);
                    break;
            }
        }

        return [.. frames];
    }

    // Few of the others are for clients by TCP.
    private byte[] Call(uint tag) => (token.Length > 0 && random.Next(32) > 0 ? random.Next(15, 18) : random.Next(20)) switch
    {
        0 or 1 => WireFrames.IoasAlloc(tag, Ticket()),
        2 => WireFrames.Destroy(tag, Ticket(), (uint)random.Next(8)),
        3 or 4 => WireFrames.IoasMap(tag, Ticket(), (uint)random.Next(4), 0x10000, 0x1000, (ulong)random.Next(1, 64) << 12),
        5 => WireFrames.IoasUnmap(tag, Ticket(), (uint)random.Next(4), 0, ulong.MaxValue),
        6 => WireFrames.Test(tag, Ticket(), (uint)random.Next(22), (uint)random.Next(8), (uint)random.Next(8), (uint)random.Next(8), 0, 4),
        7 => WireFrames.Ioctl(tag, Ticket(), 0x3B80 + (uint)random.Next(0x22), Argument(), flags: (byte)random.Next(4)),
        8 => WireFrames.IoctlBody(Ticket(), 0x3B89, Argument(), buffers: 1).U8(0, 0).U16(0).U32(4).U64(0x9000, 4, 4, 0, 0, 0).U32(0).Frame(0x10, tag),
        9 => WireFrames.IoctlBody(Ticket(), 0x3B8F, Argument(), file: 2).U8(Ticket()).Frame(0x10, tag),
        10 => WireFrames.IoctlBody(Ticket(), 0x3B8F, Argument(), file: 1).U8(1, 0).U16(3).U32(0).U64(0x10000).Text("1:2").Frame(0x10, tag),
        11 => WireFrames.Read(tag, Ticket(), (ulong)random.Next(100_000)),
        12 => WireFrames.Write(tag, Ticket(), new byte[random.Next(64)]),
        13 => random.Next(2) == 0 ? WireFrames.Took(Ticket()) : WireFrames.Looked(tag, (uint)random.Next(3)),
        14 => random.Next(64) == 0 ? WireFrames.Resolve(tag, Name()) : WireFrames.Closed(tag, Ticket()),
        15 => WireFrames.Grant(tag, Name(), random.Next(2) == 0 ? "token other" : new string((char)random.Next(128), random.Next(540))),
        16 => new WireBytes().U8(Name()).U8((byte)random.Next(15)).Zeros(7).Text(Messages[random.Next(Messages.Length)]).Frame(0x30, tag),
        17 => HandleIoctl(tag),
        18 => WireFrames.Pinned(tag, (uint)random.Next(3)),
        _ => WireFrames.Discard(tag, random.Next(4) == 0 ? claim : Name()),
    };

    // An ioctl of no context: what is looked at is its frame.
    private byte[] HandleIoctl(uint tag)
    {
        var argument = Argument();
        return new WireBytes().U8(Name()).U64((ulong)random.Next(1, 3), (ulong)random.Next(1, 9), 0).U32(0x3B80 + (uint)random.Next(0x22), (uint)argument.Length)
            .Zeros(3).U8((byte)random.Next(4)).U32((uint)argument.Length).U8(argument).Frame(0x31, tag);
    }

    private byte[] Ticket() => random.Next(16) == 0 ? Name() : ticket;

    private byte[] Name()
    {
        var name = new byte[16];
        random.NextBytes(name);
        return name;
    }

    private byte[] Argument()
    {
        var argument = new byte[random.Next(4, 80)];
        for (var at = 4; at < argument.Length; at++)
        {
            argument[at] = (byte)(random.Next(4) == 0 ? random.Next(8) : 0);
        }

        BinaryPrimitives.WriteInt32LittleEndian(argument, argument.Length);
        return argument;
    }

    private static void Put(byte[] frame, int at, uint value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        bytes[..Math.Min(sizeof(uint), frame.Length - at)].CopyTo(frame.AsSpan(at));
    }
}
