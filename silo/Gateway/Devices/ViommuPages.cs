using System.Buffers.Binary;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Microsoft.Win32.SafeHandles;

namespace IommuFd.Silo.Gateway.Devices;

// The pages of a vIOMMU are memory that a program maps by the context's own file, at the offset that VIOMMU_ALLOC has answered. Nothing but programs looks at them
// here, so they are a file in memory, which is made when it is first mapped. A vIOMMU is held by its mappings, in whichever process they are: the kernel counts
// them, and seals such a file against writes only where nobody has it mapped to be written.

/// <summary>The pages of a context's vIOMMUs that programs can map. Thread-safe.</summary>
internal sealed class ViommuPages : IDisposable
{
    // Each is a descriptor of the silo's.
    private const int MostMapped = 64;

    private readonly Lock _lock = new();
    private readonly Dictionary<uint, Pages> _byViommu = [];

    /// <summary>Whether there are none.</summary>
    public bool IsEmpty
    {
        get
        {
            lock (_lock)
            {
                return _byViommu.Count == 0;
            }
        }
    }

    /// <summary>Notes the answer to an ioctl, if that has made a vIOMMU with pages, or has destroyed one.</summary>
    /// <param name="request">The ioctl.</param>
    /// <param name="reply">Its answer.</param>
    public void Note(IoctlRequest request, IoctlReply reply)
    {
        if (reply.Errno != Errno.None)
        {
            return;
        }

        if (request.Command == (uint)IommuCommand.ViommuAlloc && reply is { Argument: { } argument, Buffers: [{ Content: var data }] }
            && UapiStruct.Read<IommuViommuSelftest>(data) is { OutMmapLength: > 0 } selftest)
        {
            var content = new byte[selftest.OutMmapLength];
            BinaryPrimitives.WriteUInt32LittleEndian(content, selftest.InData);
            lock (_lock)
            {
                _byViommu[UapiStruct.Read<IommuViommuAlloc>(argument).OutViommuId] = new Pages(selftest.OutMmapOffset, content);
            }
        }
        else if (DestroyedBy(request) is { } viommu)
        {
            lock (_lock)
            {
                _byViommu.Remove(viommu, out var pages);
                pages?.Dispose();
            }
        }
    }

    /// <summary>Finds the file to map: ENXIO where no vIOMMU has just these pages.</summary>
    /// <param name="offset">The offset in the context's file.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="path">The file, for processes of this machine.</param>
    public Errno Map(ulong offset, ulong length, out string path)
    {
        path = "";
        lock (_lock)
        {
            var wanted = _byViommu.Values.FirstOrDefault(pages => pages.Offset == offset && pages.Length == length);
            if (wanted is null)
            {
                return Errno.ENXIO;
            }

            if (!wanted.IsOpen && _byViommu.Values.Count(pages => pages.IsOpen) >= MostMapped)
            {
                return Errno.ENOMEM;
            }

            return wanted.TryOpen(out path) ? Errno.None : Errno.ENOMEM;
        }
    }

    /// <summary>The vIOMMU that an ioctl is to destroy, if a program has its pages mapped; null for another ioctl.</summary>
    /// <param name="request">The ioctl.</param>
    public uint? HeldAgainst(IoctlRequest request)
    {
        lock (_lock)
        {
            return _byViommu.Count > 0 && DestroyedBy(request) is { } viommu && _byViommu.TryGetValue(viommu, out var pages) && pages.IsMapped() ? viommu : null;
        }
    }

    /// <summary>The context is closed.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            foreach (var pages in _byViommu.Values)
            {
                pages.Dispose();
            }

            _byViommu.Clear();
        }
    }

    private static uint? DestroyedBy(IoctlRequest request)
        => request.Command == (uint)IommuCommand.Destroy && request.Argument.Length >= 2 * sizeof(uint) && UapiStruct.Read<IommuDestroy>(request.Argument) is { Size: >= 2 * sizeof(uint) } destroy
            ? destroy.Id : null;

    private sealed class Pages(ulong offset, byte[] content) : IDisposable
    {
        private SafeFileHandle? _file;

        public ulong Offset => offset;

        public ulong Length => (ulong)content.Length;

        public bool IsOpen => _file is not null;

        public bool TryOpen(out string path)
        {
            path = "";
            if (_file is null)
            {
                var file = Native.CreateMemoryFile("viommu", Native.CloseOnExec | Native.AllowSealing);
                if (file.IsInvalid)
                {
                    return false;
                }

                RandomAccess.Write(file, content, 0);
                _file = file;
            }

            path = $"/proc/{Environment.ProcessId}/fd/{_file.DangerousGetHandle()}";
            return true;
        }

        // What was sealed can't be mapped again: it is kept, in case the vIOMMU is not destroyed after all.
        public bool IsMapped()
        {
            if (_file is null)
            {
                return false;
            }

            if (Native.Control(_file, Native.AddSeals, Native.SealWrite) < 0)
            {
                return true;
            }

            RandomAccess.Read(_file, content, 0);
            Dispose();
            return false;
        }

        public void Dispose()
        {
            _file?.Dispose();
            _file = null;
        }
    }
}
