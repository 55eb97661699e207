using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Gateway.Descriptors;

namespace IommuFd.Silo.Gateway;

// A handle is 128 random bits that its opener chooses, and every program that knows it can use the context. The gateway binds it to the user as well: each user
// has a permutation of all handles, which only the silo knows, so that a handle given by another user names a context that does not exist. Nothing has to be
// stored about who opened what, and silos with the same secret agree.

/// <summary>Turns the handles that a user knows into those of contexts.</summary>
/// <param name="secret">What the permutations are made from: that of the silo's user, so that his other silos have the same.</param>
internal sealed class HandleSeal(byte[] secret)
{
    private const int NonceBytes = 12, TagBytes = 16;

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

    /// <summary>Bytes by which a user can resume a descriptor. They say nothing to their reader, and only the same user can use them.</summary>
    public const int ResumptionBytes = NonceBytes + DescriptorName.Bytes + TagBytes;

    /// <summary>The bytes by which a user can resume a descriptor with a name.</summary>
    public byte[] SealName(string identity, DescriptorName name)
    {
        using var aes = new AesGcm(Derive("descriptors", identity), TagBytes);
        var bytes = new byte[ResumptionBytes];
        var nonce = bytes.AsSpan(0, NonceBytes);
        RandomNumberGenerator.Fill(nonce);
        aes.Encrypt(nonce, name.Write(), bytes.AsSpan(NonceBytes, DescriptorName.Bytes), bytes.AsSpan(NonceBytes + DescriptorName.Bytes));
        return bytes;
    }

    /// <summary>The name of the descriptor that a user resumes; null for bytes that <see cref="SealName"/> has not given to this user.</summary>
    public DescriptorName? OpenName(string identity, ReadOnlySpan<byte> resumption)
    {
        using var aes = new AesGcm(Derive("descriptors", identity), TagBytes);
        Span<byte> name = stackalloc byte[DescriptorName.Bytes];
        try
        {
            aes.Decrypt(resumption[..NonceBytes], resumption.Slice(NonceBytes, DescriptorName.Bytes), resumption[(NonceBytes + DescriptorName.Bytes)..], name);
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }

        return DescriptorName.Read(name);
    }

    /// <summary>The number by which the service knows a user as an opener of contexts; not 0, which is nobody in particular.</summary>
    public long ClientOf(string identity) => BitConverter.ToInt64(Derive("opener", identity)) | 1;

    private byte[] KeyOf(string identity) => Derive("handles", identity);

    private byte[] Derive(string purpose, string identity)
        => HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, 32, info: Encoding.UTF8.GetBytes($"iommufd gateway {purpose} of {identity}"));
}
