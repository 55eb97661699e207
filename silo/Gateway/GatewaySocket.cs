using System.ComponentModel.DataAnnotations;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace IommuFd.Silo.Gateway;

// The socket's file has its mode from its first moment: Linux takes it from the socket that is bound. A file that a silo has left behind is replaced, one
// on which a silo listens is not. Two silos that start at once are told apart by a lock on a file beside it, which ends with its process.

/// <summary>The Unix socket on which a gateway listens, for this process until it is disposed.</summary>
internal sealed class GatewaySocket : IDisposable
{
    private const uint OwnerOnly = 0x180; // 0600

    private readonly string _path;
    private readonly FileStream _claim;

    private GatewaySocket(string path, FileStream claim) => (_path, _claim) = (path, claim);

    /// <summary>Claims a path.</summary>
    /// <exception cref="ValidationException">Another silo listens there, or this user can't make the file.</exception>
    public static GatewaySocket Claim(string path)
    {
        try
        {
            if (File.Exists(path) && new FileInfo(path).Length > 0)
            {
                throw new ValidationException($"{GatewaySettings.Section}:{nameof(GatewaySettings.Path)} is '{path}', which is a file and no socket. Choose another path, or remove the file.");
            }

            PrivateFile.Create($"{path}-lock");
            return new GatewaySocket(path, new FileStream($"{path}-lock", FileMode.Open, FileAccess.ReadWrite, FileShare.None));
        }
        catch (IOException exception)
        {
            throw new ValidationException(
                $"{GatewaySettings.Section}:{nameof(GatewaySettings.Path)} is '{path}', on which another silo listens, or which can't be made: {exception.Message} Stop that silo, or choose another path.", exception);
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new ValidationException($"{GatewaySettings.Section}:{nameof(GatewaySettings.Path)} is '{path}', which this user can't make: {exception.Message}", exception);
        }
    }

    /// <summary>What is appended to the path where descriptors connect.</summary>
    public const string DescriptorSuffix = "-fd";

    /// <summary>Makes the socket for calls.</summary>
    public Socket Bind() => Bind(_path);

    /// <summary>Makes the socket for descriptors.</summary>
    public Socket BindDescriptors() => Bind(_path + DescriptorSuffix);

    public void Dispose()
    {
        // Their folder may be gone by now, and they with it.
        if (Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(_path))))
        {
            File.Delete(_path);
            File.Delete(_path + DescriptorSuffix);
        }

        _claim.Dispose();
    }

    private static Socket Bind(string path)
    {
        File.Delete(path);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        if (Native.ChangeMode((int)socket.Handle, OwnerOnly) != 0)
        {
            socket.Dispose();
            throw new IOException($"The socket's mode can't be set: {Marshal.GetLastPInvokeErrorMessage()}");
        }

        socket.Bind(new UnixDomainSocketEndPoint(path));
        return socket;
    }
}
