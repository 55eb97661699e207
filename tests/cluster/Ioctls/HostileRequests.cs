using System.Buffers.Binary;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Ioctls;

// Two kinds are mixed: any bytes at all, which hardly ever get past pre-validation, and commands that are right but for their
// values, which nearly always do. Numbers are drawn near the edges that code is likely to get wrong.

/// <summary>Makes requests that no well-meaning client would send.</summary>
internal sealed class HostileRequests(Random random)
{
    private static readonly uint[] Edges = [0, 1, 2, 3, 4, 7, 8, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF];
    private static readonly IoctlDescriptor[] Commands = [.. IoctlTable.All];

    /// <summary>Makes a request.</summary>
    /// <param name="files">The files that earlier requests of the context have opened.</param>
    public IoctlRequest Next(IReadOnlyList<UserFile> files) => random.Next(4) == 0 ? Anything(files) : NearlyRight(files);

    private IoctlRequest Anything(IReadOnlyList<UserFile> files)
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
            File = File(files),
        };
    }

    private IoctlRequest NearlyRight(IReadOnlyList<UserFile> files)
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

        if (descriptor.Command == IommuCommand.TestCmd && argument.Length >= descriptor.Size)
        {
            // The op, and its fields in the union: small numbers, addresses inside the aperture, or anything.
            argument[4] = (byte)random.Next(20);
            for (var at = 16; at < 64; at += sizeof(ulong))
            {
                BinaryPrimitives.WriteUInt64LittleEndian(argument.AsSpan(at), random.Next(4) switch
                {
                    0 => 0,
                    1 => (ulong)random.Next(8),
                    2 => (ulong)random.Next(1 << 12, 1 << 20) << 12,
                    _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
                });
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
            File = File(files),
        };
    }

    // A file of the context's, or one that a client made up.
    private UserFile? File(IReadOnlyList<UserFile> files) => random.Next(4) switch
    {
        0 => null,
        1 => new UserFile("made up", IsMemfd: random.Next(2) == 0, Number())
        {
            Target = random.Next(3) == 0 ? null : new FileTarget(
                random.Next(2) == 0 && files.Count > 0 ? files[0].Target!.Context : ContextHandle.NewRandom().Key,
                new ReferenceId(random.Next(8)),
                random.Next(4) == 0 ? (ObjectType)random.Next(-1, 10) : ObjectType.Access,
                new ObjectId(Number())),
        },
        _ => files.Count == 0 ? null : files[random.Next(files.Count)],
    };

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
