using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

// Regions never overlap and are sorted by address, so that bisection finds one. A run of bytes may cross from a region into an adjacent one, as it may cross from page to
// page.

/// <summary>Memory that consists of regions at chosen addresses: for programs that simulate an address space, and for replayed traces.</summary>
public sealed class CallerMemory : ICallerMemory
{
    private readonly SortedList<ulong, Region> _regions = [];
    private readonly Dictionary<int, OpenFile> _files = [];
    private int _nextFileDescriptor;

    /// <summary>The lowest descriptor for files that ioctls open. The default is 3.</summary>
    public int FirstFileDescriptor { get; init; } = 3;

    /// <summary>Whether a file that an ioctl opens can get the descriptor of one that was closed, as in Linux. The default is true.</summary>
    public bool ReusesFileDescriptors { get; init; } = true;

    /// <summary>Adds a region.</summary>
    /// <param name="address">Its first address.</param>
    /// <param name="bytes">Its bytes. They are not copied: both sides see changes.</param>
    /// <param name="access">Which access the region permits.</param>
    /// <returns>This memory.</returns>
    /// <exception cref="ArgumentException">The region is empty, overlaps another, or goes beyond 2^64.</exception>
    public CallerMemory Add(ulong address, Memory<byte> bytes, MemoryAccess access = MemoryAccess.ReadWrite) => Add(address, bytes, access, null);

    /// <summary>Maps a file that was added with its content, as <c>mmap</c> does: all of it, shared.</summary>
    /// <param name="address">The first address.</param>
    /// <param name="fileDescriptor">The file's descriptor.</param>
    /// <param name="access">Which access the region permits.</param>
    /// <returns>This memory.</returns>
    /// <exception cref="ArgumentException">The descriptor is not open, the file has no content, or the region is as for <see cref="Add(ulong, Memory{byte}, MemoryAccess)"/>.</exception>
    public CallerMemory MapFile(ulong address, int fileDescriptor, MemoryAccess access = MemoryAccess.ReadWrite)
        => _files.TryGetValue(fileDescriptor, out var open)
            ? Add(address, open.Content, access, new MappedFile(open.File.Identity))
            : throw new ArgumentException($"The descriptor {fileDescriptor} is not open.", nameof(fileDescriptor));

    private CallerMemory Add(ulong address, Memory<byte> bytes, MemoryAccess access, MappedFile? file)
    {
        if (bytes.IsEmpty || ulong.MaxValue - address < (ulong)bytes.Length - 1)
        {
            throw new ArgumentException($"A region at 0x{address:X} can't have {bytes.Length} bytes.", nameof(bytes));
        }

        var last = address + (ulong)bytes.Length - 1;
        foreach (var region in _regions.Values)
        {
            if (address <= region.Last && region.Start <= last)
            {
                throw new ArgumentException($"The region 0x{address:X} to 0x{last:X} overlaps 0x{region.Start:X} to 0x{region.Last:X}.", nameof(address));
            }
        }

        _regions.Add(address, new Region(address, last, bytes, access, file));
        return this;
    }

    /// <summary>Opens a file under a descriptor.</summary>
    /// <param name="fileDescriptor">The descriptor.</param>
    /// <param name="file">The file.</param>
    /// <param name="content">Its bytes, if accesses are to read and write them. They are not copied: both sides see changes.</param>
    /// <returns>This memory.</returns>
    /// <exception cref="ArgumentException">The descriptor is open.</exception>
    public CallerMemory AddFile(int fileDescriptor, UserFile file, Memory<byte> content = default)
    {
        _files.Add(fileDescriptor, new OpenFile(file, content));
        return this;
    }

    /// <summary>Removes a region, as <c>munmap</c> does.</summary>
    /// <param name="address">The region's first address.</param>
    /// <returns>Whether there was one.</returns>
    public bool Remove(ulong address) => _regions.Remove(address);

    /// <summary>Changes the length of a file that was added, as <c>ftruncate</c> does, and with it its content.</summary>
    /// <param name="fileDescriptor">A descriptor of the file.</param>
    /// <param name="lengthBytes">The new length.</param>
    /// <param name="content">Its bytes, if accesses are to read and write them.</param>
    /// <exception cref="ArgumentException">The descriptor is not open.</exception>
    public void Truncate(int fileDescriptor, ulong lengthBytes, Memory<byte> content = default)
    {
        if (!_files.TryGetValue(fileDescriptor, out var open))
        {
            throw new ArgumentException($"The descriptor {fileDescriptor} is not open.", nameof(fileDescriptor));
        }

        foreach (var (other, same) in _files.Where(other => other.Value.File.Identity == open.File.Identity).ToList())
        {
            _files[other] = same with { File = same.File with { LengthBytes = lengthBytes }, Content = content };
        }
    }

    /// <summary>Closes a descriptor, and with it the file if an ioctl has opened it.</summary>
    /// <param name="fileDescriptor">The descriptor.</param>
    /// <returns>Whether it was open.</returns>
    public async ValueTask<bool> CloseFileAsync(int fileDescriptor)
    {
        if (!_files.Remove(fileDescriptor, out var open))
        {
            return false;
        }

        open.DmaBuf?.Close();
        if (open.Opened is { } opened)
        {
            await opened.DisposeAsync();
        }

        return true;
    }

    /// <summary>Closes every descriptor, as the end of a program does.</summary>
    /// <returns>Completes when all are closed.</returns>
    public async ValueTask CloseFilesAsync()
    {
        foreach (var fileDescriptor in _files.Keys.Order().ToArray())
        {
            await CloseFileAsync(fileDescriptor);
        }
    }

    /// <summary>The file of a descriptor that an ioctl has opened.</summary>
    /// <param name="fileDescriptor">The descriptor.</param>
    /// <returns>The file; null if the descriptor is not open, or leads to another file.</returns>
    public IommuFile? FindOpenedFile(int fileDescriptor) => _files.GetValueOrDefault(fileDescriptor)?.Opened;

    /// <inheritdoc/>
    public FileMapping? FindMapping(ulong address, ulong length)
        => Find(address, MemoryAccess.None) is { File: { } file } region ? new FileMapping(file, address - region.Start, Math.Min(length, region.Last - address + 1)) : null;

    /// <inheritdoc/>
    public UserFile? FindFile(int fileDescriptor) => _files.GetValueOrDefault(fileDescriptor) is { } open ? open.DmaBuf?.File ?? open.File : null;

    /// <inheritdoc/>
    public ulong? LengthOf(MappedFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        return _files.Values.FirstOrDefault(open => open.File.Identity == file.Identity)?.File is { } found ? (found.IsMemfd ? found.LengthBytes : 0) : null;
    }

    /// <inheritdoc/>
    public int InstallFile(IommuFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        return Install(new OpenFile(file.File, default) { Opened = file });
    }

    /// <inheritdoc/>
    public int InstallDmaBuf(DmaBuf dmaBuf)
    {
        ArgumentNullException.ThrowIfNull(dmaBuf);
        return Install(new OpenFile(dmaBuf.File, default) { DmaBuf = dmaBuf });
    }

    private int Install(OpenFile file)
    {
        var fileDescriptor = ReusesFileDescriptors ? FirstFileDescriptor : Math.Max(FirstFileDescriptor, _nextFileDescriptor);
        while (_files.ContainsKey(fileDescriptor))
        {
            fileDescriptor++;
        }

        _nextFileDescriptor = fileDescriptor + 1;

        _files.Add(fileDescriptor, file);
        return fileDescriptor;
    }

    /// <inheritdoc/>
    public int ReadFile(MappedFile file, ulong offset, Span<byte> destination)
        => ContentOf(file, offset) is { IsEmpty: false } content ? Copy(content.Span, destination) : 0;

    /// <inheritdoc/>
    public int WriteFile(MappedFile file, ulong offset, ReadOnlySpan<byte> source)
        => ContentOf(file, offset) is { IsEmpty: false } content ? Copy(source, content.Span) : 0;

    /// <inheritdoc/>
    public int Read(ulong address, Span<byte> destination)
    {
        var done = 0;
        while (done < destination.Length && Find(address + (ulong)done, MemoryAccess.Read) is { } region)
        {
            done += Copy(region.From(address + (ulong)done).Span, destination[done..]);
        }

        return done;
    }

    /// <inheritdoc/>
    public int Write(ulong address, ReadOnlySpan<byte> source)
    {
        var done = 0;
        while (done < source.Length && Find(address + (ulong)done, MemoryAccess.Write) is { } region)
        {
            done += Copy(source[done..], region.From(address + (ulong)done).Span);
        }

        return done;
    }

    /// <inheritdoc/>
    public ulong Accessible(ulong address, ulong length, MemoryAccess access)
    {
        ulong done = 0;
        while (done < length && Find(address + done, access) is { } region)
        {
            done += Math.Min(region.Last - (address + done) + 1, length - done);
        }

        return done;
    }

    private static int Copy(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        var count = Math.Min(source.Length, destination.Length);
        source[..count].CopyTo(destination);
        return count;
    }

    private Memory<byte> ContentOf(MappedFile file, ulong offset)
    {
        ArgumentNullException.ThrowIfNull(file);
        var content = _files.Values.FirstOrDefault(open => open.File.Identity == file.Identity && !open.Content.IsEmpty)?.Content ?? default;
        return offset < (ulong)content.Length ? content[(int)offset..] : default;
    }

    // Addresses wrap at 2^64 as they do in a program. Address 0 is like any other: it is in a region only if one was added there.
    private Region? Find(ulong address, MemoryAccess access)
    {
        var keys = _regions.Keys;
        var (low, high) = (0, keys.Count - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var region = _regions.Values[middle];
            if (address < region.Start)
            {
                high = middle - 1;
            }
            else if (address > region.Last)
            {
                low = middle + 1;
            }
            else
            {
                return (region.Access & access) == access ? region : null;
            }
        }

        return null;
    }

    private sealed record OpenFile(UserFile File, Memory<byte> Content)
    {
        public IommuFile? Opened { get; init; }

        public DmaBuf? DmaBuf { get; init; }
    }

    private sealed record Region(ulong Start, ulong Last, Memory<byte> Bytes, MemoryAccess Access, MappedFile? File)
    {
        public Memory<byte> From(ulong address) => Bytes[(int)(address - Start)..];
    }
}
