using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using IommuFd.GrainInterfaces;

namespace IommuFd.Silo.Gateway;

// A handle is 128 random bits that its opener chooses, and every program that knows it can use the context. The gateway binds it to the user as well: each user
// has a permutation of all handles, which only the silo knows, so that a handle given by another user names a context that does not exist. Nothing has to be
// stored about who opened what, and silos with the same secret agree.

/// <summary>Turns the handles that a user knows into those of contexts.</summary>
/// <param name="secret">What the permutations are made from: that of the silo's user, so that his other silos have the same.</param>
internal sealed class HandleSeal(byte[] secret)
{
    private readonly ConcurrentDictionary<string, byte[]> _keys = new();

    /// <summary>The context's handle.</summary>
    /// <param name="identity">The user.</param>
    /// <param name="known">The handle that the user knows.</param>
    public ContextHandle Open(string identity, Guid known)
    {
        using var aes = Aes.Create();
        aes.Key = _keys.GetOrAdd(identity, KeyOf);
        return new ContextHandle(new Guid(aes.DecryptEcb(known.ToByteArray(), PaddingMode.None)));
    }

    /// <summary>The handle by which a user knows a context: what <see cref="Open"/> turns into the context's own.</summary>
    public Guid Close(string identity, ContextHandle handle)
    {
        using var aes = Aes.Create();
        aes.Key = _keys.GetOrAdd(identity, KeyOf);
        return new Guid(aes.EncryptEcb(handle.Value.ToByteArray(), PaddingMode.None));
    }

    /// <summary>The number by which the service knows a user as an opener of contexts; not 0, which is nobody in particular.</summary>
    public long ClientOf(string identity) => BitConverter.ToInt64(Derive("opener", identity)) | 1;

    private byte[] KeyOf(string identity) => Derive("handles", identity);

    private byte[] Derive(string purpose, string identity)
        => HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, 32, info: Encoding.UTF8.GetBytes($"iommufd gateway {purpose} of {identity}"));
}
