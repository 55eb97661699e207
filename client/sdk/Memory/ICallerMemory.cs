using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>
/// The memory of the program that issues ioctls, to which the pointers in arguments refer. The service never touches it: the SDK copies in before an ioctl and copies out
/// after it, and tells the service what it can't access.
/// </summary>
public interface ICallerMemory
{
    /// <summary>Copies bytes out of the memory, up to the first that can't be read.</summary>
    /// <param name="address">The first address.</param>
    /// <param name="destination">The buffer for the bytes.</param>
    /// <returns>How many leading bytes were copied.</returns>
    int Read(ulong address, Span<byte> destination);

    /// <summary>Copies bytes into the memory, up to the first that can't be written.</summary>
    /// <param name="address">The first address.</param>
    /// <param name="source">The bytes.</param>
    /// <returns>How many leading bytes were copied.</returns>
    int Write(ulong address, ReadOnlySpan<byte> source);

    /// <summary>Finds out how much memory can be accessed.</summary>
    /// <param name="address">The first address.</param>
    /// <param name="length">How many bytes to check.</param>
    /// <param name="access">The wanted access.</param>
    /// <returns>How many leading bytes permit it, at most <paramref name="length"/>.</returns>
    ulong Accessible(ulong address, ulong length, MemoryAccess access);

    /// <summary>Finds the file that memory is a mapping of, so that the service knows the pages of the one as those of the other.</summary>
    /// <param name="address">The first address.</param>
    /// <param name="length">How many bytes to look at.</param>
    /// <returns>The mapping; null for other memory.</returns>
    FileMapping? FindMapping(ulong address, ulong length) => null;

    /// <summary>Finds the file of a descriptor in an argument.</summary>
    /// <param name="fileDescriptor">The descriptor.</param>
    /// <returns>The file; null if the descriptor is not open.</returns>
    UserFile? FindFile(int fileDescriptor) => null;

    /// <summary>
    /// Finds the length of a mapped file now, in bytes: a file may have been extended or cut since it was mapped. Its descriptor may be closed.
    /// </summary>
    /// <param name="file">The file.</param>
    /// <returns>The length; 0 for a file that can't be pinned, since it is no memfd; null for a file that is not known, which counts as it was when it was mapped.</returns>
    ulong? LengthOf(MappedFile file) => null;

    /// <summary>Gives a descriptor to a file that an ioctl has opened, as <c>fd_install</c> does.</summary>
    /// <param name="file">The file. Closing the descriptor must dispose it.</param>
    /// <returns>The descriptor; -1 if there is none to give: the SDK then undoes the ioctl, which answers EMFILE.</returns>
    int InstallFile(IommuFile file) => -1;

    /// <summary>Gives a descriptor to a dma-buf that an ioctl has opened.</summary>
    /// <param name="dmaBuf">The dma-buf. Closing the descriptor must close it.</param>
    /// <returns>The descriptor; -1 if there is none to give: the ioctl then answers EMFILE.</returns>
    int InstallDmaBuf(DmaBuf dmaBuf) => -1;

    /// <summary>Copies bytes out of a mapped file, up to the first that can't be read.</summary>
    /// <param name="file">The file.</param>
    /// <param name="offset">The offset of the first byte.</param>
    /// <param name="destination">The buffer for the bytes.</param>
    /// <returns>How many leading bytes were copied.</returns>
    int ReadFile(MappedFile file, ulong offset, Span<byte> destination) => 0;

    /// <summary>Copies bytes into a mapped file, up to the first that can't be written.</summary>
    /// <param name="file">The file.</param>
    /// <param name="offset">The offset of the first byte.</param>
    /// <param name="source">The bytes.</param>
    /// <returns>How many leading bytes were copied.</returns>
    int WriteFile(MappedFile file, ulong offset, ReadOnlySpan<byte> source) => 0;
}
