using System.Globalization;
using IommuFd.GrainInterfaces;

namespace IommuFd.Silo.Gateway.Programs;

// Memory that one program has mapped and another one uses: the one that maps need not be in a call then, and cannot be asked. Linux lets a user look into his own
// processes; where it does not, nothing is known of the memory, and a copy fails.

/// <summary>The memory of another process on this machine.</summary>
internal sealed class ProcessMemory(int process)
{
    private const int ChunkBytes = 64 * 1024;

    private const ulong PageBytes = 4096;

    /// <summary>Copies bytes out, up to the first that can't be read.</summary>
    public unsafe int Read(ulong address, Span<byte> bytes)
    {
        fixed (byte* at = bytes)
        {
            var (local, remote) = (new Native.Vector { Start = (ulong)at, Length = (ulong)bytes.Length }, new Native.Vector { Start = address, Length = (ulong)bytes.Length });
            return (int)Math.Max(0, Native.ReadProcess(process, &local, 1, &remote, 1, 0));
        }
    }

    /// <summary>Copies bytes in, up to the first that can't be written.</summary>
    public unsafe int Write(ulong address, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* at = bytes)
        {
            var (local, remote) = (new Native.Vector { Start = (ulong)at, Length = (ulong)bytes.Length }, new Native.Vector { Start = address, Length = (ulong)bytes.Length });
            return (int)Math.Max(0, Native.WriteProcess(process, &local, 1, &remote, 1, 0));
        }
    }

    /// <summary>Looks which pieces are there; null where this process may not look.</summary>
    public MemoryAnswer? Look(MemoryPiece[] pieces)
    {
        if (Maps() is not { } maps || Array.Exists(pieces, piece => piece.File is not null))
        {
            return null;
        }

        for (var i = 0; i < pieces.Length; i++)
        {
            if (Present(maps, pieces[i]) is var present && present < pieces[i].Length)
            {
                return new MemoryAnswer(IsKnown: true, i, present);
            }
        }

        return new MemoryAnswer(IsKnown: true, pieces.Length);
    }

    /// <summary>Where the process has a part of a file mapped, which other processes map too; null where it does not.</summary>
    public ulong? Find(FileMapping mapping)
    {
        foreach (var map in Maps() ?? [])
        {
            if (map.Identity == mapping.File.Identity && map.Offset <= mapping.Offset && mapping.Offset + mapping.Length <= map.Offset + (map.End - map.Start))
            {
                return map.Start + (mapping.Offset - map.Offset);
            }
        }

        return null;
    }

    /// <summary>Copies between a buffer of one process and memory of another.</summary>
    /// <returns>Whether all of it was copied.</returns>
    public static bool Copy(ProcessMemory from, ulong source, ProcessMemory to, ulong destination, ulong length)
    {
        var chunk = new byte[Math.Min(length, ChunkBytes)];
        for (var done = 0UL; done < length;)
        {
            var bytes = chunk.AsSpan(0, (int)Math.Min(length - done, (ulong)chunk.Length));
            var read = from.Read(source + done, bytes);
            if (read == 0 || to.Write(destination + done, bytes[..read]) < read)
            {
                return false;
            }

            done += (ulong)read;
        }

        return true;
    }

    // A page may be missing where its mapping is not: behind the end of a file. Reading a byte of it says so.
    private ulong Present(List<Map> maps, MemoryPiece piece)
    {
        Span<byte> one = stackalloc byte[1];
        var at = piece.Start;
        var end = piece.Start + Math.Min(piece.Length, ulong.MaxValue - piece.Start);
        foreach (var map in maps.Where(map => map.End > piece.Start))
        {
            if (map.Start > at || !map.Permits(piece.Write))
            {
                break;
            }

            for (; map.IsFile && at < Math.Min(map.End, end); at = (at & ~(PageBytes - 1)) + PageBytes)
            {
                if (Read(at, one) == 0)
                {
                    return at <= piece.Start ? 0 : at - piece.Start;
                }
            }

            at = map.End;
            if (at >= end)
            {
                return piece.Length;
            }
        }

        return at <= piece.Start ? 0 : at - piece.Start;
    }

    private List<Map>? Maps()
    {
        try
        {
            return [.. File.ReadLines($"/proc/{process}/maps").Select(Map.Parse)];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private readonly record struct Map(ulong Start, ulong End, bool Reads, bool Writes, bool IsFile, string Identity, ulong Offset)
    {
        public bool Permits(bool write) => Reads && (Writes || !write);

        // START-END rwxp OFFSET DEVICE INODE NAME
        public static Map Parse(string line)
        {
            var fields = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
            var (range, device, isShared) = (fields[0].Split('-'), fields[3].Split(':'), fields[1][3] == 's');
            return new Map(
                Hex(range[0]), Hex(range[1]), fields[1][0] == 'r', fields[1][1] == 'w', fields[4] != "0",
                isShared ? $"{Hex(device[0]):x}:{Hex(device[1]):x}:{ulong.Parse(fields[4], CultureInfo.InvariantCulture):x}" : "", Hex(fields[2]));

            static ulong Hex(string digits) => ulong.Parse(digits, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        }
    }
}
