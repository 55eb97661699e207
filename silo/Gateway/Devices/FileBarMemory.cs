using System.Buffers;
using System.Globalization;
using System.IO.MemoryMappedFiles;
using IommuFd.Devices.Pci;

namespace IommuFd.Silo.Gateway.Devices;

/// <summary>Makes the memory of BARs from files, which programs of the silo's user map.</summary>
/// <param name="folder">Where the files are: a folder of the silo's user alone.</param>
internal sealed class FileBarMemory(string folder) : IBarMemoryFactory
{
    private int _count;

    public IBarMemory Allocate(string name, int lengthBytes)
        => new Bar(Path.Combine(folder, _count++.ToString(CultureInfo.InvariantCulture)), lengthBytes);

    /// <summary>The memory of one BAR.</summary>
    internal sealed unsafe class Bar : MemoryManager<byte>, IBarMemory
    {
        private readonly MemoryMappedFile _file;
        private readonly MemoryMappedViewAccessor _view;
        private readonly byte* _start;
        private readonly int _length;

        public Bar(string path, int length)
        {
            (Path, _length) = (path, length);
            PrivateFile.Create(path);
            _file = MemoryMappedFile.CreateFromFile(new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite), null, length, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: false);
            _view = _file.CreateViewAccessor(0, length);
            _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
        }

        /// <summary>The file.</summary>
        public string Path { get; }

        public Memory<byte> Bytes => Memory;

        public override Span<byte> GetSpan() => new(_start, _length);

        public override MemoryHandle Pin(int elementIndex = 0) => new(_start + elementIndex);

        public override void Unpin()
        {
            // It never moves.
        }

        void IDisposable.Dispose() => Dispose(true);

        protected override void Dispose(bool disposing)
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _file.Dispose();
        }
    }
}
