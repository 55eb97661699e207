using System.Buffers.Binary;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests;

// Two kinds are mixed: any bytes at all, which hardly ever get past pre-validation, and commands that are right but for their
// values, which nearly always do. Numbers are drawn near the edges that code is likely to get wrong.

/// <summary>Makes requests that no well-meaning client would send.</summary>
internal sealed class HostileRequests(Random random)
{
    private static readonly uint[] Edges = [0, 1, 2, 3, 4, 7, 8, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF];
    private static readonly IoctlDescriptor[] Commands = [.. IoctlTable.All];

    public IoctlRequest Next() => random.Next(4) == 0 ? Anything() : NearlyRight();

    private IoctlRequest Anything()
    {
        var argument = new byte[random.Next(8) == 0 ? random.Next(IoctlLimits.MaxArgumentBytes + 64) : random.Next(96)];
        random.NextBytes(argument);
        if (argument.Length >= 4 && random.Next(2) == 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(argument, Number());
        }

        return new IoctlRequest
        {
            Command = random.Next(2) == 0 ? (uint)random.NextInt64(1L << 32) : 0x3B00 | (uint)random.Next(256),
            Argument = argument,
            Tail = (ArgumentTail)random.Next(-1, 4),
            WritableBytes = Number(),
            Buffers = Buffers(),
        };
    }

    private IoctlRequest NearlyRight()
    {
        // Mostly the commands that make and destroy objects, so that there are some to be hit.
        var descriptor = random.Next(3) == 0 ? Commands[random.Next(Commands.Length)] : IoctlTable.Get((IommuCommand)(0x3B80 + random.Next(2)));
        var size = random.Next(6) == 0 ? random.Next(descriptor.Size + 24) : descriptor.Size;
        var argument = new byte[Math.Max(size, 4)];
        foreach (var field in descriptor.Fields.Skip(1).Where(field => field.Offset + field.Size <= argument.Length && random.Next(5) > 1))
        {
            argument[field.Offset] = (byte)random.Next(random.Next(3) == 0 ? 256 : 4);
            if (random.Next(12) == 0)
            {
                random.NextBytes(argument.AsSpan(field.Offset, field.Size));
            }
        }

        BinaryPrimitives.WriteInt32LittleEndian(argument, size);
        if (descriptor.Command == IommuCommand.IoasAlloc && random.Next(4) > 0 && argument.Length >= 8)
        {
            argument.AsSpan(4).Clear();
        }

        return new IoctlRequest
        {
            Command = (uint)descriptor.Command,
            Argument = argument,
            Tail = (ArgumentTail)(random.Next(10) == 0 ? random.Next(3) : 0),
            WritableBytes = random.Next(10) == 0 ? (uint)random.Next(argument.Length + 1) : (uint)argument.Length,
            Buffers = Buffers(),
        };
    }

    private UserBuffer[]? Buffers()
    {
        if (random.Next(10) > 0)
        {
            return null;
        }

        var buffers = new UserBuffer[random.Next(4)];
        for (var i = 0; i < buffers.Length; i++)
        {
            buffers[i] = new UserBuffer
            {
                Index = (byte)random.Next(256),
                Address = (ulong)random.NextInt64(long.MinValue, long.MaxValue),
                Length = Number(),
                ReadableBytes = Number(),
                WritableBytes = Number(),
                Content = new byte[random.Next(64)],
            };
        }

        return buffers;
    }

    private uint Number() => Edges[random.Next(Edges.Length)];
}
