using System.Text;

namespace IommuFd.Cli.Running;

/// <summary>A folder of this user's alone, for Unix sockets, until it is disposed.</summary>
internal sealed class PrivateFolder : IDisposable
{
    // sockaddr_un has 108 bytes; behind the temporary folder's path come the folder's name, the socket's, and that of a gateway's second socket.
    private const int MaxTemporaryBytes = 72;

    private readonly DirectoryInfo _folder;

    /// <summary>Makes one among the user's temporary files.</summary>
    /// <exception cref="CliException">The path is too long for Unix sockets.</exception>
    public PrivateFolder()
    {
        if (Encoding.UTF8.GetByteCount(Path.GetTempPath()) > MaxTemporaryBytes)
        {
            throw new CliException($"TMPDIR is '{Path.GetTempPath()}', which is too long for Unix sockets: it may have {MaxTemporaryBytes} bytes.");
        }

        _folder = Directory.CreateTempSubdirectory("iommufd-");
    }

    /// <summary>The path of a socket in it.</summary>
    public string Socket(string name) => Path.Combine(_folder.FullName, name);

    public void Dispose() => _folder.Delete(recursive: true);
}
