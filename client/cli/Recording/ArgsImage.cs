using System.Buffers.Binary;
using IommuFd.Cli.Conformance;
using IommuFd.GrainInterfaces;

namespace IommuFd.Cli.Recording;

// Both images are the whole region, so that what overlaps in them shows as it would in memory.

/// <summary>The memory of a trace's arguments before and after one ioctl, made from what the program's memory had.</summary>
internal sealed class ArgsImage(int bytes)
{
    private readonly byte[] _before = new byte[bytes];
    private readonly byte[] _after = new byte[bytes];
    private readonly List<(int Offset, int Size, ulong From, ulong To)> _fields = [];

    // Those that are not there are at the end, where nothing can be written.
    private readonly List<(UserBuffer Buffer, int Offset)> _buffers = [];
    private int _argumentEnd;
    private int _cursor;
    private int _contentEnd;

    /// <summary>The argument before the call.</summary>
    public ReadOnlySpan<byte> Input => _before.AsSpan(0, _argumentEnd);

    /// <summary>The argument after it.</summary>
    public ReadOnlySpan<byte> Output => _after.AsSpan(0, _argumentEnd);

    /// <summary>The buffers before the call; empty if nothing of them is read.</summary>
    public ReadOnlySpan<byte> Memory => _contentEnd <= TraceMemory.BufferOffset ? [] : _before.AsSpan(TraceMemory.BufferOffset, _contentEnd - TraceMemory.BufferOffset);

    /// <summary>Begins an ioctl.</summary>
    /// <param name="argument">What the program's argument had.</param>
    /// <param name="size">Bytes of the command's argument; 0 for a number that is no command's.</param>
    /// <param name="isTailNonZero">Whether a byte that is not zero lies behind what the argument had.</param>
    public void Begin(ReadOnlySpan<byte> argument, int size, bool isTailNonZero)
    {
        Array.Clear(_before);
        _fields.Clear();
        _buffers.Clear();
        (_cursor, _contentEnd) = (TraceMemory.BufferOffset, 0);
        argument.CopyTo(_before);
        _argumentEnd = Math.Max(argument.Length, size);
        if (isTailNonZero)
        {
            _before[argument.Length] = 1;
            _argumentEnd = Math.Max(_argumentEnd, argument.Length + 1);
        }
    }

    /// <summary>Gives a field of the argument another value: one that means in the trace what the program's meant there.</summary>
    public void Replace(int offset, int size, ulong value)
    {
        _fields.Add((offset, size, Field(_before, offset, size), value));
        SetField(_before, offset, size, value);
    }

    /// <summary>Places a buffer that the ioctl reads or writes.</summary>
    /// <param name="buffer">The buffer.</param>
    /// <param name="pointer">Where the argument has its address.</param>
    /// <param name="accessible">Leading bytes that can be accessed as the ioctl does.</param>
    /// <param name="content">Its leading bytes.</param>
    /// <exception cref="CliException">Its content does not fit.</exception>
    public void Place(UserBuffer buffer, int pointer, ulong accessible, ReadOnlySpan<byte> content)
    {
        if (buffer.Address == 0 || buffer.Length > ulong.MaxValue - buffer.Address)
        {
            _buffers.Add((buffer, bytes));
            return;
        }

        if (accessible == 0)
        {
            _buffers.Add((buffer, bytes));
            Replace(pointer, sizeof(ulong), TraceMemory.MissingAddress(buffer.Address));
            return;
        }

        // One that can't be accessed as a whole ends with the region, behind which nothing is; and one that is larger than any that travels has what there is.
        var next = _cursor + (int)((buffer.Address - (ulong)_cursor) & 0xFFF);
        var isWhole = accessible >= buffer.Length && buffer.Length <= (ulong)Math.Max(0, bytes - next);
        var offset = isWhole ? next : bytes - (int)Math.Min(accessible, (ulong)(bytes - _cursor));
        if (content.Length > bytes - offset)
        {
            throw new CliException($"a buffer has {content.Length} bytes that are read; a trace has {bytes - offset} for it");
        }

        _cursor = isWhole ? offset + (int)buffer.Length : bytes;
        _buffers.Add((buffer, offset));
        content.CopyTo(_before.AsSpan(offset));
        _contentEnd = content.IsEmpty ? _contentEnd : offset + content.Length;
        Replace(pointer, sizeof(ulong), TraceMemory.ArgsAddress + (ulong)offset);
    }

    /// <summary>Does to the memory what the answer does.</summary>
    /// <param name="reply">The answer.</param>
    /// <param name="copied">What a copy that is a part of it writes, and where.</param>
    /// <param name="file">The descriptor of the file that the ioctl has opened.</param>
    /// <exception cref="CliException">It writes where no buffer is.</exception>
    public void Apply(IoctlReply reply, (ulong Address, byte[] Bytes) copied, int file)
    {
        _before.CopyTo(_after, 0);
        if (reply.Argument is { } argument)
        {
            argument.CopyTo(_after, 0);
            foreach (var (offset, size, from, to) in _fields)
            {
                if (offset + size <= argument.Length && Field(argument, offset, size) == from)
                {
                    SetField(_after, offset, size, to);
                }
            }
        }

        foreach (var write in reply.Buffers ?? [])
        {
            Write(write);
        }

        if (copied.Bytes is { Length: > 0 } content)
        {
            Write(new UserBufferWrite(copied.Address, content));
        }

        if (reply.File is { } opened)
        {
            SetField(_after, opened.Offset, sizeof(int), (ulong)file);
        }
    }

    /// <summary>The one span that covers all that has changed behind the argument; null if nothing has.</summary>
    public (int Offset, byte[] Bytes)? Changed()
    {
        var before = _before.AsSpan(_argumentEnd);
        var after = _after.AsSpan(_argumentEnd);
        var first = before.CommonPrefixLength(after);
        if (first == before.Length)
        {
            return null;
        }

        var last = before.Length - 1;
        while (before[last] == after[last])
        {
            last--;
        }

        return (_argumentEnd + first, after[first..(last + 1)].ToArray());
    }

    private void Write(UserBufferWrite write)
    {
        var at = OffsetOf(write.Address);
        var there = _after.AsSpan(at, Math.Min(write.Content.Length, bytes - at));
        for (var i = 0; i < there.Length; i++)
        {
            there[i] = write.IsOr ? (byte)(there[i] | write.Content[i]) : write.Content[i];
        }

        _after.AsSpan(at + there.Length, (int)Math.Min(write.ZeroBytes, (uint)(bytes - at - there.Length))).Clear();
    }

    private int OffsetOf(ulong address)
    {
        foreach (var (buffer, offset) in _buffers)
        {
            if (address >= buffer.Address && address - buffer.Address < buffer.Length)
            {
                return (int)Math.Min((ulong)bytes, (ulong)offset + (address - buffer.Address));
            }
        }

        throw new CliException($"the answer writes to 0x{address:X}, where the ioctl has no buffer");
    }

    private static ulong Field(ReadOnlySpan<byte> argument, int offset, int size)
        => size == sizeof(uint) ? BinaryPrimitives.ReadUInt32LittleEndian(argument[offset..]) : BinaryPrimitives.ReadUInt64LittleEndian(argument[offset..]);

    private static void SetField(Span<byte> argument, int offset, int size, ulong value)
    {
        if (size == sizeof(uint))
        {
            BinaryPrimitives.WriteUInt32LittleEndian(argument[offset..], (uint)value);
        }
        else
        {
            BinaryPrimitives.WriteUInt64LittleEndian(argument[offset..], value);
        }
    }
}
