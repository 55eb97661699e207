namespace IommuFd.Devices.Nvme;

/// <summary>The controller's registers and their bits (NVM Express 1.4, section 3.1).</summary>
internal static class NvmeRegister
{
    public const int Capabilities = 0x00;
    public const int Version = 0x08;
    public const int MaskSet = 0x0C;
    public const int MaskClear = 0x10;
    public const int Configuration = 0x14;
    public const int Status = 0x1C;
    public const int AdminAttributes = 0x24;
    public const int AdminSubmission = 0x28;
    public const int AdminCompletion = 0x30;
    public const int Doorbells = 0x1000;
    public const int BarLength = 0x2000;

    public const uint Version14 = 0x0001_0400;

    public const uint Enable = 1;
    public const uint Ready = 1;
    public const uint Fatal = 1 << 1;
    public const uint ShutdownDone = 2 << 2;
    public const uint ShutdownMask = 3 << 2;

    /// <summary>Entries of the longest queue, less 1.</summary>
    public const int MaxQueueIndex = 1023;

    /// <summary>Contiguous queues are required; 10 s to get ready; NVM commands; pages of 4 KiB.</summary>
    public const ulong CapabilityValue = MaxQueueIndex | (1UL << 16) | (20UL << 24) | (1UL << 37);

    public const int SubmissionBytes = 64;
    public const int CompletionBytes = 16;
    public const int PageBytes = 4096;

    /// <summary>Where the doorbell of a queue is.</summary>
    public static int Doorbell(int queue, bool isCompletion) => Doorbells + (((2 * queue) + (isCompletion ? 1 : 0)) * sizeof(uint));

    /// <summary>The way of a shutdown that CC asks for; 0 for none.</summary>
    public static uint ShutdownOf(uint configuration) => (configuration >> 14) & 3;
}
